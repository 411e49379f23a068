// createGrantBook() against a naive list of (source, port, end).

import fc from "fast-check";
import assert from "node:assert/strict";
import { createGrantBook } from "../../../src/daemon/grant_book.ts";
import type { Grant } from "../../../src/firewall/grant.ts";
import type { Source } from "../../../src/packet/header.ts";

const IPV4 = { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc0000201 } as const;
const IPV6 = { family: 6, word0: 0x20010db8, word1: 0, word2: 0, word3: 1 } as const;

Deno.test("a grant is open until its end, then it is taken once", () => {
  const book = createGrantBook();
  const grant = { source: IPV4, protocol: "tcp", port: 22, timeoutMs: 1_000 } as const;
  assert.equal(book.nextEndMs, undefined);
  book.add(grant, 500);
  assert.equal(book.nextEndMs, 1_500);
  assert.deepEqual(book.open(1_400), [{ ...grant, timeoutMs: 100 }]);
  assert.deepEqual(book.open(1_500), []);
  assert.deepEqual(book.takeExpired(1_499), []);
  assert.equal(book.find(IPV4, "udp", 22), undefined);
  assert.equal(book.has(IPV4, "tcp", 22), true, "its end was not told yet");
  assert.deepEqual(book.takeExpired(1_500), [grant]);
  assert.equal(book.has(IPV4, "tcp", 22), false);
  assert.deepEqual(book.takeExpired(1_500), []);
  assert.deepEqual([book.size, book.nextEndMs], [0, undefined]);
});

Deno.test("a renewed grant ends once, with its last time, also when that is shorter", () => {
  for (const [timeoutMs, endMs] of [[5_000, 6_000], [10, 1_010]] as const) {
    const book = createGrantBook();
    book.add({ source: IPV4, protocol: "tcp", port: 22, timeoutMs: 2_000 }, 0);
    const renewed = { source: IPV4, protocol: "tcp", port: 22, timeoutMs } as const;
    book.add(renewed, 1_000);
    assert.equal(book.size, 1);
    assert.deepEqual(book.takeExpired(endMs - 1), []);
    assert.deepEqual(book.takeExpired(100_000), [renewed]);
  }
});

Deno.test("sources, families, protocols and ports are told apart", () => {
  const mapped = { ...IPV6, word0: 0, word2: 0xffff, word3: IPV4.word3 };
  const high = { ...IPV4, word3: 0xffff_ffff };
  const sources: readonly Source[] = [IPV4, high, IPV6, mapped, { ...IPV6, word1: 1 }];
  const book = createGrantBook();
  const all = sources.flatMap((source) =>
    (["tcp", "udp"] as const).flatMap((protocol) =>
      [22, 65_535].map((port) => ({ source, protocol, port }))
    )
  );
  for (const [index, grant] of all.entries()) {
    assert.equal(book.has(grant.source, grant.protocol, grant.port), false);
    book.add({ ...grant, timeoutMs: 1_000 }, 0);
    assert.equal(book.has(grant.source, grant.protocol, grant.port), true);
    assert.equal(book.size, index + 1);
  }
});

const source = fc.constantFrom<Source>(
  IPV4,
  { ...IPV4, word3: IPV4.word3 + 1 },
  IPV6,
  { ...IPV6, word1: 1 },
);
const step = fc.record({
  gapMs: fc.nat(400),
  grant: fc.option(
    fc.record({
      source,
      protocol: fc.constantFrom("tcp" as const, "udp" as const),
      port: fc.constantFrom(22, 23),
      timeoutMs: fc.integer({ min: 1, max: 2_000 }),
    }),
  ),
});

Deno.test("a book says what a naive list says", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const book = createGrantBook();
      let list: { readonly grant: Grant; readonly endMs: number }[] = [];
      let nowMs = 0;
      for (const { gapMs, grant } of steps) {
        nowMs += gapMs;
        if (grant !== null) {
          book.add(grant, nowMs);
          list = list.filter((entry) => !sameKey(entry.grant, grant));
          list.push({ grant, endMs: nowMs + grant.timeoutMs });
        } else {
          const over = list.filter(({ endMs }) => endMs <= nowMs);
          list = list.filter(({ endMs }) => endMs > nowMs);
          const expired = book.takeExpired(nowMs);
          assert.deepEqual(sorted(expired), sorted(over.map(({ grant }) => grant)));
        }
        assert.equal(book.size, list.length);
        if (grant !== null) assert.equal(book.has(grant.source, grant.protocol, grant.port), true);
        const open = list.filter(({ endMs }) => endMs > nowMs)
          .map(({ grant, endMs }) => ({ ...grant, timeoutMs: endMs - nowMs }));
        assert.deepEqual(sorted(book.open(nowMs)), sorted(open));
        // Nobody waits too long: an end left behind by a renewal may only wake too early.
        const nextMs = Math.min(...list.map(({ endMs }) => endMs));
        if (list.length > 0) assert.ok((book.nextEndMs ?? Infinity) <= nextMs);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("ends are taken in order, also among many and after many renewals", () => {
  const book = createGrantBook();
  const timeouts = Array.from({ length: 5_000 }, (_, index) => index * 7_919 % 5_003 + 1);
  for (let round = 0; round < 4; round++) {
    for (const [index, timeoutMs] of timeouts.entries()) {
      const source = { ...IPV4, word3: index };
      book.add({ source, protocol: "tcp", port: 22, timeoutMs }, 0);
    }
  }
  const taken = book.takeExpired(10_000).map(({ timeoutMs }) => timeoutMs);
  assert.deepEqual(taken, timeouts.toSorted((a, b) => a - b));
});

Deno.test("renewing one grant often takes nothing from another", () => {
  const book = createGrantBook();
  const other = { source: IPV6, protocol: "tcp", port: 22, timeoutMs: 5_000 } as const;
  book.add(other, 0);
  for (let nowMs = 0; nowMs < 1_000; nowMs++) {
    book.add({ source: IPV4, protocol: "tcp", port: 22, timeoutMs: 1_000 }, nowMs);
  }
  assert.deepEqual(book.takeExpired(1_998), []);
  assert.equal(book.takeExpired(1_999).length, 1);
  assert.deepEqual(book.takeExpired(5_000), [other]);
});

function sameKey(a: Grant, b: Grant): boolean {
  return a.port === b.port && a.protocol === b.protocol &&
    JSON.stringify(a.source) === JSON.stringify(b.source);
}

function sorted(grants: readonly Grant[]): string[] {
  return grants.map((grant) => JSON.stringify(grant)).sort();
}
