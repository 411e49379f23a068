// grantBatch() makes the bytes that the encoder makes of the same grants, whatever they are.

import fc from "fast-check";
import assert from "node:assert/strict";
import { type Grant, grantElement, grantSet } from "../../../src/firewall/grant.ts";
import { grantBatch } from "../../../src/firewall/grant_batch.ts";
import { TABLE } from "../../../src/firewall/ruleset.ts";
import { GRANT_MS_MAX } from "../../../src/limits.ts";
import { NLM_F } from "../../../src/netlink/constants.ts";
import { encodeBatch } from "../../../src/netlink/nfnetlink.ts";
import { renewElement } from "../../../src/nftables/element.ts";

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const source = fc.oneof(
  fc.record({
    family: fc.constant(4 as const),
    word0: fc.constant(0),
    word1: fc.constant(0),
    word2: fc.constant(0),
    word3: word,
  }),
  fc.record({
    family: fc.constant(6 as const),
    word0: word,
    word1: word,
    word2: word,
    word3: word,
  }),
);
const grant: fc.Arbitrary<Grant> = fc.record({
  source,
  protocol: fc.constantFrom("tcp", "udp"),
  port: fc.integer({ min: 1, max: 65_535 }),
  timeoutMs: fc.oneof(
    fc.integer({ min: 1, max: GRANT_MS_MAX }),
    fc.double({ min: 0.001, max: 1e12, noNaN: true }),
  ),
});

Deno.test("grantBatch() is byte for byte what the encoder makes", () => {
  fc.assert(
    fc.property(
      fc.array(grant, { minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 0xffff_ff00 }),
      (grants, begin) => {
        const requests = grants.flatMap((one) =>
          renewElement(TABLE, grantSet(one.source), grantElement(one))
        );
        const acked = requests.map((request, index) =>
          index === requests.length - 1
            ? { ...request, flags: request.flags | NLM_F.NLM_F_ACK }
            : request
        );
        const batch = grantBatch(grants);
        assert.equal(batch.count, requests.length);
        assert.deepEqual(batch.encode(begin), encodeBatch(acked, begin));
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("grantBatch() names each request", () => {
  const address = { word0: 0, word1: 0, word2: 0, word3: 1 };
  const one = { protocol: "tcp", port: 22, timeoutMs: 1 } as const;
  const batch = grantBatch([
    { ...one, source: { family: 4, ...address } },
    { ...one, source: { family: 6, ...address } },
  ]);
  assert.deepEqual([0, 2, 3, 5].map((index) => batch.what(index)), [
    'add elements to set "grants4"',
    'add elements to set "grants4"',
    'add elements to set "grants6"',
    'add elements to set "grants6"',
  ]);
});
