// openTableWatch(): notifications as the kernel sent them, from a socket that is a list.

import assert from "node:assert/strict";
import fc from "fast-check";
import { unhex } from "../../../src/bytes/hex.ts";
import { type NotificationSocket, openTableWatch } from "../../../src/daemon/table_watch.ts";
import { ERRNO, KernelError } from "../../../src/errors.ts";
import {
  type Attribute,
  readAttributes,
  text,
  u32be,
  writeAttributes,
} from "../../../src/netlink/attribute.ts";
import { parseAuthor } from "../../../src/nftables/generation.ts";
import { Writer } from "../../../src/bytes/writer.ts";

const GOLDEN = new URL("../../golden/nft_events/", import.meta.url);
const OWN_PORT = 1;

/** Datagrams, and the errors that come between them. */
type Coming = (Uint8Array | KernelError)[];

function watchOver(coming: Coming) {
  const socket: NotificationSocket = {
    fd: 0,
    receive() {
      const next = coming.shift();
      if (next instanceof KernelError) throw next;
      return next;
    },
    [Symbol.dispose]() {},
  };
  return openTableWatch(OWN_PORT, socket);
}

for (const name of ["flush_ruleset", "delete_table", "flush_chain"]) {
  Deno.test(`takeChange() tells golden/nft_events/${name}.txt, authorOf() that it was nft`, () => {
    const { datagrams, pid } = readGolden(name);
    const watch = watchOver(datagrams);
    const change = watch.takeChange();
    assert.ok(change);
    assert.deepEqual(watch.authorOf(change), { pid, process: "nft" });
    assert.equal(watch.takeChange(), undefined);
  });

  Deno.test(`${name}: a transaction that is told in parts is one change`, () => {
    const { datagrams, pid } = readGolden(name);
    const [objects = new Uint8Array(), generation = new Uint8Array()] = datagrams;
    const coming: Coming = [objects];
    const watch = watchOver(coming);
    const change = watch.takeChange();
    assert.ok(change);
    coming.push(objects);
    assert.equal(watch.takeChange(), undefined, "more of the same transaction");
    coming.push(generation);
    assert.deepEqual(watch.authorOf(change), { pid, process: "nft" });
    coming.push(objects);
    assert.ok(watch.takeChange(), "another one from the same port");
  });
}

for (const name of ["grant_by_hand", "other_table", "iptables"]) {
  Deno.test(`takeChange() is not concerned by golden/nft_events/${name}.txt`, () => {
    assert.equal(watchOver(readGolden(name).datagrams).takeChange(), undefined);
  });
}

Deno.test("takeChange() leaves out what its own daemon did", () => {
  const { datagrams } = readGolden("flush_ruleset");
  for (const datagram of datagrams) setPort(datagram, OWN_PORT);
  assert.equal(watchOver(datagrams).takeChange(), undefined);
});

Deno.test("authorOf() leaves a further change to be taken, with its own author", () => {
  const first = readGolden("flush_ruleset");
  const second = readGolden("delete_table");
  const coming: Coming = [...first.datagrams];
  const watch = watchOver(coming);
  const change = watch.takeChange();
  assert.ok(change);
  coming.push(...second.datagrams);
  assert.equal(watch.authorOf(change)?.pid, first.pid);
  const next = watch.takeChange();
  assert.ok(next);
  assert.equal(watch.authorOf(next)?.pid, second.pid);
  assert.equal(watch.authorOf(change), undefined, "it was told");
});

Deno.test("takeChange() of several names the first", () => {
  const first = readGolden("flush_ruleset");
  const watch = watchOver([...first.datagrams, ...readGolden("delete_table").datagrams]);
  const change = watch.takeChange();
  assert.equal(change && watch.authorOf(change)?.pid, first.pid);
  assert.equal(watch.takeChange(), undefined);
});

Deno.test("takeChange() takes lost and broken notifications for a change by nobody", () => {
  const { datagrams } = readGolden("flush_ruleset");
  for (
    const lost of [
      new KernelError("receive", ERRNO.ENOBUFS),
      datagrams[0]?.subarray(0, 30) ?? new Uint8Array(),
    ]
  ) {
    const watch = watchOver([lost]);
    const change = watch.takeChange();
    assert.ok(change);
    assert.equal(watch.authorOf(change), undefined);
  }
});

Deno.test("takeChange() after a loss no longer waits for the end of what was begun", () => {
  const { datagrams: [objects = new Uint8Array()] } = readGolden("flush_ruleset");
  const coming: Coming = [objects];
  const watch = watchOver(coming);
  watch.takeChange();
  coming.push(new KernelError("receive", ERRNO.ENOBUFS));
  assert.ok(watch.takeChange());
  coming.push(objects);
  assert.ok(watch.takeChange());
});

Deno.test("takeChange() throws what is no loss", () => {
  const broken = new KernelError("receive", ERRNO.EBADF);
  assert.throws(() => watchOver([broken]).takeChange(), broken);
});

Deno.test("parseAuthor() gives printable ASCII, no longer than the kernel's names", () => {
  const author = (name: string) => parseAuthor(attributes(u32be(2, 7), text(3, name)));
  assert.deepEqual(author("nft"), { pid: 7, process: "nft" });
  assert.equal(author("a\nb\x1b[31mc\u{202e}é")?.process, "a?b?[31mc??");
  assert.equal(author("x".repeat(40))?.process, "x".repeat(15));
  assert.equal(author("")?.process, "");
});

Deno.test("parseAuthor() knows none where the kernel names none", () => {
  assert.equal(parseAuthor(attributes(u32be(1, 3))), undefined);
  assert.equal(parseAuthor(attributes(u32be(2, 3))), undefined);
});

Deno.test("takeChange() ends without an exception for any bytes", () => {
  const golden = ["flush_ruleset", "iptables"].flatMap((name) => readGolden(name).datagrams);
  const changed = fc.tuple(
    fc.constantFrom(...golden),
    fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
  ).map(([whole, changes]) => {
    const bytes = whole.slice();
    for (const [offset, value] of changes) if (offset < bytes.length) bytes[offset] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array(), changed), { maxLength: 4 }), (coming) => {
      const watch = watchOver([...coming]);
      const change = watch.takeChange();
      if (change !== undefined) watch.authorOf(change);
      assert.match((change && watch.authorOf(change)?.process) ?? "", /^[ -~]{0,15}$/);
    }),
  );
});

function attributes(...list: Attribute[]) {
  const writer = new Writer();
  writeAttributes(writer, list);
  return readAttributes(writer.bytes());
}

/** nlmsg_pid of every message in a datagram. */
function setPort(datagram: Uint8Array, port: number): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  for (let at = 0; at < datagram.length; at += view.getUint32(at, true) + 3 & ~3) {
    view.setUint32(at + 12, port, true);
  }
}

/** One datagram a line. */
function readGolden(name: string): { datagrams: Uint8Array[]; pid: number } {
  const lines = Deno.readTextFileSync(new URL(`${name}.txt`, GOLDEN)).split("\n");
  return {
    datagrams: lines.filter((line) => /^[0-9a-f]+$/.test(line)).map(unhex),
    pid: Number(/by process (\d+)/.exec(lines[1] ?? "")?.[1]),
  };
}
