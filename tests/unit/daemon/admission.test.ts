// createAdmission(): what is used up is noted before anything opens, and where it cannot be noted,
// nothing does.

import assert from "node:assert/strict";
import type { Door, Milliseconds } from "../../../src/config/config.ts";
import { type AdmissionOptions, createAdmission } from "../../../src/daemon/admission.ts";
import type { Opening, Refused } from "../../../src/daemon/admission.ts";
import type { Use, UsedSteps } from "../../../src/daemon/used_steps.ts";
import { ERRNO, HostError, KernelError } from "../../../src/errors.ts";
import {
  configOf,
  encryptedDoor,
  oneTimeDoor,
  plainDoor,
  rotatingDoor,
} from "../../support/configs.ts";
import { queued, setGatekeeper, syn } from "../../support/gatekeepers.ts";
import { at } from "../../support/machines.ts";
import { ipv4, ipv6 } from "../../support/naive_machine.ts";

const HOME = ipv4(0xc0000201);
const AWAY = ipv6(0x20010db8, 0, 0, 1);
const DISK_FULL = new KernelError("write /var/lib/pk/used-steps", ERRNO.ENOSPC);

const once = oneTimeDoor({ name: "once", file: "/etc/pk/once" });
const admin = rotatingDoor({ name: "admin" });
const shared = rotatingDoor({ name: "shared", knock: { bindSource: false } });
const vault = encryptedDoor({ name: "vault" });

Deno.test("a plain sequence uses nothing up: no disk is asked", () => {
  const { admit, asked } = setUp({ used: () => assert.fail("it needs no store") });
  assert.deepEqual(admit([opening(plainDoor()), opening(plainDoor())]), [undefined, undefined]);
  assert.deepEqual(asked, []);
  assert.deepEqual(admit([]), []);
});

Deno.test("a one-time line is crossed out in its file, and opens once", () => {
  const { admit, asked } = setUp();
  const one = opening(once, { line: "tcp/7000, tcp/8000" });
  assert.deepEqual(admit([one]), [undefined]);
  assert.deepEqual(asked, ["cross out /etc/pk/once: tcp/7000, tcp/8000"]);
  const [again] = admit([one]);
  assert.equal(again?.error, false);
  assert.match(again?.reason ?? "", /used before/);
});

Deno.test("of two sources that complete one line at once, the first comes in", () => {
  const { admit } = setUp();
  const line = "tcp/7000, tcp/8000";
  assert.deepEqual(
    verdicts(admit([opening(once, { line }), opening(once, { line, source: AWAY })])),
    ["opens", "refused"],
  );
});

Deno.test("a step is noted with the door and who it was, all of a batch at once", () => {
  const { admit, asked, uses } = setUp();
  const batch = [
    opening(admin, { timeStep: 5 }),
    opening(plainDoor()),
    opening(admin, { timeStep: 5, source: AWAY }),
    opening(vault, { timeStep: 9, user: "alice", source: AWAY }),
    opening(once, { line: "tcp/1, tcp/2" }),
    opening(shared, { timeStep: 5, source: AWAY }),
  ];
  assert.deepEqual(verdicts(admit(batch)), Array(6).fill("opens"));
  assert.deepEqual(uses, [
    { door: "admin/30000", who: "192.0.2.1", step: 5 },
    { door: "admin/30000", who: "2001:db8::1", step: 5 },
    { door: "vault", who: "user 1", step: 9 },
    { door: "shared/30000", who: "", step: 5 },
  ]);
  assert.equal(asked.filter((what) => what === "take 4").length, 1, "one write for all");
});

Deno.test("a used step is refused, whatever else is in the batch", () => {
  const { admit } = setUp();
  const used = opening(admin, { timeStep: 5 });
  admit([used]);
  const answers = admit([
    opening(once, { line: "a" }),
    used,
    opening(admin, { timeStep: 6 }),
    opening(plainDoor()),
  ]);
  assert.deepEqual(verdicts(answers), ["opens", "refused", "opens", "opens"]);
  assert.match(answers[1]?.reason ?? "", /has opened the door before/);
});

Deno.test("the same step twice in one batch opens once", () => {
  const { admit } = setUp();
  const twice = [opening(admin, { timeStep: 5 }), opening(admin, { timeStep: 5 })];
  assert.deepEqual(verdicts(admit(twice)), ["opens", "refused"]);
});

Deno.test("each source has the step of a bound door, and all sources together that of an unbound one", () => {
  const { admit } = setUp();
  const ofBoth = (door: Door) =>
    [HOME, AWAY].map((source) => opening(door, { timeStep: 5, source }));
  assert.deepEqual(verdicts(admit(ofBoth(admin))), ["opens", "opens"]);
  assert.deepEqual(verdicts(admit(ofBoth(shared))), ["opens", "refused"]);
});

Deno.test("steps of another length are other steps: their numbers say other times", () => {
  const { admit } = setUp();
  const longer = rotatingDoor({ name: "admin", knock: { stepMs: 60_000 as Milliseconds } });
  const batch = [admin, longer, admin].map((door) => opening(door, { timeStep: 5 }));
  assert.deepEqual(verdicts(admit(batch)), ["opens", "opens", "refused"]);
});

Deno.test("an encrypted step is the user's, from wherever he knocks", () => {
  const { admit } = setUp();
  const from = (source: Opening["source"], user: string) =>
    opening(vault, { timeStep: 5, source, user });
  assert.deepEqual(
    verdicts(admit([from(HOME, "alice"), from(HOME, "bob"), from(AWAY, "alice")])),
    ["opens", "opens", "refused"],
  );
});

for (
  const [what, error] of [
    ["a full disk", DISK_FULL],
    ["a damaged file", new HostError("Cannot use /var/lib/pk: it is damaged", "Remove it")],
  ] as const
) {
  Deno.test(`where ${what} keeps a step from being noted, nothing timed opens, and the rest does`, () => {
    const { admit, store } = setUp();
    store.fault = error;
    const answers = admit([
      opening(admin, { timeStep: 5 }),
      opening(plainDoor()),
      opening(vault, { timeStep: 5, user: "alice" }),
      opening(once, { line: "a" }),
    ]);
    assert.deepEqual(verdicts(answers), ["fault", "opens", "fault", "opens"]);
    assert.ok(answers[0]?.reason.includes(error.message));
    store.fault = undefined;
    assert.deepEqual(verdicts(admit([opening(admin, { timeStep: 5 })])), ["opens"]);
  });
}

Deno.test("a line that cannot be crossed out opens nothing, the others do", () => {
  const { admit } = setUp({
    crossOut(_file, line) {
      if (line === "b") throw DISK_FULL;
      return true;
    },
  });
  const answers = admit(["a", "b", "c"].map((line) => opening(once, { line })));
  assert.deepEqual(verdicts(answers), ["opens", "fault", "opens"]);
  assert.match(answers[1]?.reason ?? "", /ENOSPC/);
});

Deno.test("without a store a timed sequence opens nothing", () => {
  const { admit } = setUp({ used: () => undefined });
  assert.deepEqual(
    verdicts(admit([opening(admin, { timeStep: 5 }), opening(plainDoor())])),
    ["fault", "opens"],
  );
});

Deno.test("a bug is not taken for a full disk", () => {
  const { admit, store } = setUp();
  store.fault = new TypeError("no");
  assert.throws(() => admit([opening(admin, { timeStep: 5 })]), TypeError);
});

Deno.test("the line of a one-time door is crossed out before its grant is written", () => {
  const { admit, asked } = setUp();
  const door = oneTimeDoor({
    name: "once",
    sequences: [["tcp/7000", "tcp/8000"], ["tcp/7001", "tcp/8001"]],
  });
  const { gatekeeper, held, copies, copy, takeDone, events } = setGatekeeper(
    configOf({ doors: [door] }),
    {
      admit,
      submit: () => asked.push("grant"),
      accept: () => asked.push("let go"),
    },
  );
  copies.push(copy(syn(7001), syn(8001)), copy());
  copies.push(copy(syn(7001), syn(8001)));
  held.push([queued(1, syn(22))]);
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(asked, ["cross out /etc/pk/once: tcp/7001, tcp/8001", "grant", "let go"]);
  takeDone();
  gatekeeper.handleBatch(at(1));
  assert.deepEqual(takeDone(), ["copies 2", "ack", "admit 1", "held 0"], "no second grant");
  gatekeeper.tick(1);
  assert.deepEqual(events("granted").map(({ door }) => door), ["once"]);
  assert.equal(events("replayed").length, 1);
});

/** Used steps in a set, and files whose lines may each be crossed out once. */
function setUp(options: Partial<AdmissionOptions> = {}) {
  const asked: string[] = [];
  const uses: Use[] = [];
  const crossedOut = new Set<string>();
  const store: UsedSteps & { fault: Error | undefined } = {
    fault: undefined,
    take(batch) {
      asked.push(`take ${batch.length}`);
      if (store.fault !== undefined) throw store.fault;
      return batch.map((use) => {
        const isNew = !uses.some((one) =>
          one.door === use.door && one.who === use.who && one.step === use.step
        );
        if (isNew) uses.push(use);
        return isNew;
      });
    },
    floor: () => undefined,
    [Symbol.dispose]() {},
  };
  const admit = createAdmission({
    used: () => store,
    crossOut(file, line) {
      const what = `cross out ${file}: ${line}`;
      asked.push(what);
      const isNew = !crossedOut.has(what);
      crossedOut.add(what);
      return isNew;
    },
    ...options,
  });
  return { admit, asked, uses, store };
}

function opening(door: Door, fields: Partial<Opening> = {}): Opening {
  return { door, source: HOME, line: undefined, timeStep: undefined, user: undefined, ...fields };
}

function verdicts(answers: readonly (Refused | undefined)[]): string[] {
  return answers.map((one) => one === undefined ? "opens" : one.error ? "fault" : "refused");
}
