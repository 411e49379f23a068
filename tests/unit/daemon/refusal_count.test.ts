// createRefusalCount(): what the kernel counted and nobody told, told once a second.

import fc from "fast-check";
import assert from "node:assert/strict";
import { createRefusalCount } from "../../../src/daemon/refusal_count.ts";
import type { ERRNO } from "../../../src/errors.ts";
import { TABLE, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import { fakeNftables } from "../../support/fake_nftables.ts";

Deno.test("takeUntold() gives what the kernel counted beyond those told, when the second is over", () => {
  const { refusals, kernel } = setUp();
  kernel.refused = 12;
  for (let told = 0; told < 10; told++) refusals.tell(told);
  assert.equal(refusals.dueMs, 1_000);
  assert.equal(refusals.takeUntold(999), 0, "the second is not over");
  assert.equal(refusals.takeUntold(1_000), 2);
  assert.equal(refusals.dueMs, undefined);
  assert.equal(refusals.takeUntold(9_000), 0, "told once");
});

Deno.test("takeUntold() has nothing to say where all were told, or none was refused", () => {
  const { refusals, kernel } = setUp();
  assert.equal(refusals.dueMs, undefined);
  assert.equal(refusals.takeUntold(0), 0);
  kernel.refused = 2;
  refusals.tell(5);
  refusals.tell(900);
  assert.equal(refusals.dueMs, 1_005);
  assert.equal(refusals.takeUntold(1_005), 0);
});

Deno.test("takeUntold() asks the kernel only when it is due", () => {
  const { refusals, kernel } = setUp();
  assert.equal(kernel.asked, 1, "what it had counted before");
  refusals.takeUntold(0);
  refusals.tell(0);
  refusals.takeUntold(999);
  assert.equal(kernel.asked, 1);
  refusals.takeUntold(1_000);
  assert.equal(kernel.asked, 2);
});

Deno.test("createRefusalCount() counts from what stood there before", () => {
  const { refusals, kernel } = setUp(5_000);
  kernel.refused = 5_003;
  refusals.tell(0);
  assert.equal(refusals.takeUntold(1_000), 2);
});

Deno.test("createRefusalCount() counts from what it read first, where nothing could be read before", () => {
  const { refusals, kernel } = setUp(5_000, "EBUSY");
  kernel.refusal = undefined;
  refusals.tell(0);
  assert.equal(refusals.takeUntold(1_000), 0, "nobody knows how many of the 5,000 are new");
  kernel.refused = 5_004;
  refusals.tell(2_000);
  assert.equal(refusals.takeUntold(3_000), 3);
});

Deno.test("takeUntold() counts from 0 where the table was made anew", () => {
  const { refusals, kernel } = setUp(5_000);
  kernel.refused = 3;
  refusals.tell(0);
  assert.equal(refusals.takeUntold(1_000), 2);
  kernel.refused = 7;
  refusals.tell(2_000);
  assert.equal(refusals.takeUntold(3_000), 3);
});

for (const [what, code] of [["refuses", "EBUSY"], ["has no table", undefined]] as const) {
  Deno.test(`takeUntold() gives nothing while the kernel ${what}, and goes on afterwards`, () => {
    const { refusals, kernel } = setUp(10);
    kernel.refusal = code;
    kernel.gone = code === undefined;
    refusals.tell(0);
    assert.equal(refusals.takeUntold(1_000), 0);
    assert.equal(refusals.dueMs, undefined);
    Object.assign(kernel, { refusal: undefined, gone: false, refused: 15 });
    refusals.tell(2_000);
    // One of these was told while nothing could be read: 5 in all, 2 of them told.
    assert.ok([3, 4].includes(refusals.takeUntold(3_000)));
  });
}

Deno.test("takeUntold() tells none twice that was counted before its copy was read", () => {
  const { refusals, kernel } = setUp();
  kernel.refused = 1;
  refusals.tell(0);
  // The second one has been counted, its copy is still on its way.
  kernel.refused = 2;
  const early = refusals.takeUntold(1_000);
  refusals.tell(1_001);
  kernel.refused = 5;
  const later = refusals.takeUntold(2_001);
  assert.equal(early + later, 3, "5 were refused and 2 told");
});

Deno.test("what was told and what was not are all there were, however late copies are read", () => {
  const second = fc.record({ refused: fc.nat(30), late: fc.nat(3) });
  fc.assert(
    fc.property(fc.array(second, { maxLength: 30 }), (seconds) => {
      const { refusals, kernel } = setUp();
      let [told, untold, waiting, nowMs] = [0, 0, 0, 0];
      // At last, everything has been read, and one more is refused, so that it is told.
      for (
        const { refused, late } of [...seconds, { refused: 0, late: 0 }, { refused: 40, late: 0 }]
      ) {
        kernel.refused += refused;
        const copies = Math.min(refused, 10);
        const left = Math.min(late, copies);
        const read = waiting + copies - left;
        for (let copy = 0; copy < read; copy++) refusals.tell(nowMs);
        [told, waiting] = [told + read, left];
        nowMs += 1_000;
        untold += refusals.takeUntold(nowMs);
      }
      assert.equal(told + untold, kernel.refused);
    }),
    { numRuns: 300 },
  );
});

/** A count over a kernel whose counter can be set, and which can refuse to tell or have no table. */
function setUp(refused = 0, refusal: keyof typeof ERRNO | undefined = undefined) {
  const kernel = { refused, refusal, gone: false, asked: 0 };
  const nftables = fakeNftables({
    table: { name: TABLE, flags: 0, comment: TABLE_COMMENT },
    sets: [],
    elements: {},
    get counters() {
      const counters = { knocks: 77, refused: kernel.refused };
      return kernel.gone
        ? []
        : Object.entries(counters).map(([name, packets]) => ({ name, packets, bytes: 60 }));
    },
  }, (lines) => {
    if (!lines[0]?.startsWith("NFT_MSG_GETOBJ")) return undefined;
    kernel.asked++;
    return kernel.refusal;
  });
  const refusals = createRefusalCount(openConversation(socketTo(nftables.kernel)));
  return { refusals, kernel };
}
