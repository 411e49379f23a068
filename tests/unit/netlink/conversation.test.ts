// openConversation() against kernels that are one function each: acks, refusals, what is left over
// from before, silence, broken datagrams, dumps.

import assert from "node:assert/strict";
import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { ERRNO, KernelError, UnansweredError } from "../../../src/errors.ts";
import { text } from "../../../src/netlink/attribute.ts";
import { NFNL_MSG, NLM_F } from "../../../src/netlink/constants.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { addChain } from "../../../src/nftables/chain.ts";
import { getTable } from "../../../src/nftables/table.ts";
import { listSets } from "../../../src/nftables/set.ts";
import {
  ack,
  datagram,
  done,
  type Kernel,
  message,
  messagesOf,
  objectMessage,
  refusal,
  socketTo,
} from "../../support/fake_kernel.ts";

const CHAINS = ["watch", "guard", "gate"].map((name) => addChain("pk", { name }));
const NEWTABLE = 0xa00;

/** Acks the last request, as asked. */
const acking: Kernel = (request) => [ack(asking(request))];

Deno.test("transact() is one batch whose last request alone asks for an ack", () => {
  const sent: Uint8Array[] = [];
  talkTo((request) => (sent.push(request), acking(request))).transact(CHAINS);
  assert.equal(sent.length, 1);
  const messages = messagesOf(sent[0] ?? new Uint8Array());
  assert.deepEqual(
    messages.map(({ type, flags }) => [type, (flags & NLM_F.NLM_F_ACK) !== 0]),
    [
      [NFNL_MSG.NFNL_MSG_BATCH_BEGIN, false],
      ...CHAINS.map(({ type }, index) => [type, index === 2]),
      [NFNL_MSG.NFNL_MSG_BATCH_END, false],
    ],
  );
  const first = messages[0].sequence;
  assert.deepEqual(messages.map(({ sequence }) => sequence - first), [0, 1, 2, 3, 4]);
});

Deno.test("transact() without requests sends nothing", () => {
  talkTo(() => assert.fail("nothing to send")).transact([]);
});

Deno.test("transact() names the object that was refused, in the kernel's words", () => {
  const kernel = talkTo((request) => {
    const [, watch, guard, gate] = messagesOf(request);
    assert.ok(watch && guard && gate);
    return [refusal(guard, ERRNO.EEXIST, "Chain of another type"), ack(gate)];
  });
  refuses(() => kernel.transact(CHAINS), {
    code: "EEXIST",
    operation: 'add chain "guard"',
    message: 'Cannot add chain "guard": EEXIST (Chain of another type)',
  });
});

Deno.test("transact() names the first of several refusals, in one datagram or in many", () => {
  for (
    const pack of [(...all: Uint8Array[]) => [datagram(...all)], (...all: Uint8Array[]) => all]
  ) {
    const kernel = talkTo((request) => {
      const [, watch, guard, gate] = messagesOf(request);
      assert.ok(watch && guard && gate);
      return pack(refusal(watch, ERRNO.ENOENT), refusal(gate, ERRNO.EINVAL));
    });
    refuses(() => kernel.transact(CHAINS), { message: 'Cannot add chain "watch": ENOENT' });
  }
});

Deno.test("transact() understands a refusal of the batch as a whole", () => {
  const kernel = talkTo((request) => [refusal(messagesOf(request)[0], ERRNO.EPERM)]);
  refuses(() => kernel.transact(CHAINS), { message: "Cannot change nf_tables: EPERM" });
});

Deno.test("transact() reads the extended ack behind the whole request, too", () => {
  // Without NETLINK_CAP_ACK the kernel echoes the request, whose length is in its header.
  const words = "Not this";
  const kernel = talkTo((request) => {
    const { sequence } = asking(request);
    const echoed = request.slice(
      20,
      20 + new DataView(request.buffer).getUint32(20, LITTLE_ENDIAN),
    );
    const capped = refusal({ sequence }, ERRNO.EINVAL, words);
    const payload = datagram(capped.slice(16, 20), echoed, capped.slice(36));
    return [message(2, NLM_F.NLM_F_ACK_TLVS, sequence, payload)];
  });
  refuses(() => kernel.transact(CHAINS.slice(0, 1)), {
    message: 'Cannot add chain "watch": EINVAL (Not this)',
  });
});

Deno.test("what is left of an earlier exchange is no answer to the next", () => {
  let exchange = 0;
  const kernel = talkTo((request) => {
    exchange++;
    if (exchange > 1) return [ack(asking(request))];
    // A commit that fails: the batch's error comes first, and after it what each request led to.
    const [begin, watch, guard, gate] = messagesOf(request);
    assert.ok(watch && guard && gate);
    return [refusal(begin, ERRNO.ENOMEM), refusal(guard, ERRNO.EEXIST), ack(gate)];
  });
  refuses(() => kernel.transact(CHAINS), { message: "Cannot change nf_tables: ENOMEM" });
  kernel.transact(CHAINS);
  assert.deepEqual(kernel.ask(getTable("pk")), []);
});

Deno.test("silence is ETIMEDOUT, also when only strangers speak", () => {
  const silent = talkTo(() => []);
  refuses(() => silent.transact(CHAINS), { code: "ETIMEDOUT" });
  refuses(() => silent.ask(getTable("pk")), {
    message: 'Cannot read table "pk": ETIMEDOUT (no answer came)',
  });
  const stranger = talkTo(() => [ack({ sequence: 0 }), ack({ sequence: 77 })]);
  refuses(() => stranger.transact(CHAINS), { code: "ETIMEDOUT" });
});

Deno.test("a broken datagram is no answer, and the conversation goes on after it", () => {
  const whole = ack({ sequence: 1 });
  const cuts = [whole.slice(0, 3), whole.slice(0, 15), whole.slice(0, 18)];
  for (const cut of [...cuts, new Uint8Array(16), message(2, 0, 2, new Uint8Array())]) {
    let broken = true;
    const kernel = talkTo((request) => broken ? [cut] : acking(request));
    assert.throws(
      () => kernel.transact(CHAINS.slice(0, 1)),
      (error) => error instanceof UnansweredError && error.code === "EBADMSG",
    );
    broken = false;
    kernel.transact(CHAINS);
  }
  const empty = talkTo((request) => [new Uint8Array(), ...acking(request)]);
  empty.transact(CHAINS);
});

Deno.test("ask() brings the object, and asks for an ack so that an end is seen", () => {
  const kernel = talkTo((request) => {
    const [{ sequence, flags }] = messagesOf(request);
    assert.equal(flags & NLM_F.NLM_F_ACK, NLM_F.NLM_F_ACK);
    return [objectMessage(NEWTABLE, sequence, [text(1, "pk")]), ack({ sequence })];
  });
  const answer = kernel.ask(getTable("pk"));
  assert.deepEqual(answer.map(({ type }) => type), [NEWTABLE]);
});

Deno.test("ask() names what could not be read: errors, also those of signals and haste", () => {
  for (const code of ["ENOENT", "EINTR", "EAGAIN", "EPERM"] as const) {
    const kernel = talkTo((request) => [refusal(messagesOf(request)[0], ERRNO[code])]);
    refuses(() => kernel.ask(getTable("pk")), { message: `Cannot read table "pk": ${code}` });
  }
});

Deno.test("ask() collects a dump from several datagrams up to its end", () => {
  const dump: Kernel = (request) => {
    const [{ sequence, flags }] = messagesOf(request);
    assert.equal(flags & NLM_F.NLM_F_DUMP, NLM_F.NLM_F_DUMP);
    assert.equal(flags & NLM_F.NLM_F_ACK, 0);
    const one = objectMessage(NEWTABLE, sequence, [text(1, "a")], NLM_F.NLM_F_MULTI);
    const late = objectMessage(NEWTABLE, sequence, [text(1, "late")], NLM_F.NLM_F_MULTI);
    return [datagram(one, one), datagram(one, done(sequence)), late];
  };
  const kernel = talkTo(dump);
  assert.equal(kernel.ask(listSets("pk")).length, 3);
  assert.equal(kernel.ask(listSets("pk")).length, 3, "the late one is not of the second dump");
});

Deno.test("ask() tells of a dump that failed at its end", () => {
  const kernel = talkTo((request) => [done(messagesOf(request)[0].sequence, ERRNO.ENOMEM)]);
  refuses(() => kernel.ask(listSets("pk")), { code: "ENOMEM" });
});

Deno.test("ask() repeats a dump that others' changes interrupted, but not for ever", () => {
  const interruptedUntil = (last: number) => {
    let tries = 0;
    const kernel = talkTo((request) => {
      tries++;
      const [{ sequence }] = messagesOf(request);
      const flags = tries < last ? NLM_F.NLM_F_DUMP_INTR : 0;
      const name = text(1, `try ${tries}`);
      return [datagram(objectMessage(NEWTABLE, sequence, [name], flags), done(sequence))];
    });
    return { kernel, tries: () => tries };
  };
  const twice = interruptedUntil(3);
  assert.equal(twice.kernel.ask(listSets("pk")).length, 1, "nothing of the interrupted ones");
  assert.equal(twice.tries(), 3);
  const always = interruptedUntil(Infinity);
  refuses(() => always.kernel.ask(listSets("pk")), { code: "EBUSY" });
  assert.equal(always.tries(), 5);
});

function talkTo(kernel: Kernel) {
  return openConversation(socketTo(kernel));
}

/** The message of a request that asks for an ack. */
function asking(request: Uint8Array) {
  const found = messagesOf(request).find(({ flags }) => flags & NLM_F.NLM_F_ACK);
  assert.ok(found, "somebody asks for an ack");
  return found;
}

function refuses(act: () => unknown, expected: Partial<KernelError>): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof KernelError, String(error));
    for (const [name, value] of Object.entries(expected)) {
      assert.equal(error[name as keyof KernelError], value);
    }
    return true;
  });
}
