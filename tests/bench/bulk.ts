// Bulk TCP with blocking calls of libc, so that the program costs little beside the kernel. `sink`
// reads one connection after the other to its end. `source` makes it from a fresh source at its first order, and sends
// for so long at each one.
//
//   ip netns exec NS deno run --allow-ffi tests/bench/bulk.ts source
//   {"family":"ipv4","source":7,"seconds":1}

import { BULK_PORT, type FamilyName } from "./addresses.ts";
import { serve } from "./background.ts";
import { checked, type Libc, openLibc } from "./libc.ts";
import { boundSocket, freshSource, serverAt } from "./sockets.ts";

export interface BulkOrder {
  readonly family: FamilyName;
  readonly source: number;
  readonly seconds: number;
}

export interface BulkSent {
  readonly bytesPerSecond: number;
}

const CHUNK_BYTES = 256 * 1024;

function sink(libc: Libc, family: FamilyName): never {
  const door = serverAt(family, BULK_PORT);
  const fd = boundSocket(libc, door, false);
  checked(libc, "listen", libc.listen(fd, 1));
  Deno.stdout.writeSync(new TextEncoder().encode("{}\n"));
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (;;) {
    const connection = checked(libc, "accept", libc.accept(fd, null, null));
    while (libc.recv(connection, chunk, BigInt(CHUNK_BYTES), 0) > 0n);
    libc.close(connection);
  }
}

function source(libc: Libc): (order: BulkOrder) => BulkSent {
  const chunk = new Uint8Array(CHUNK_BYTES);
  let fd: number | undefined;
  return ({ family, source, seconds }) => {
    if (fd === undefined) {
      const door = serverAt(family, BULK_PORT);
      fd = boundSocket(libc, freshSource(family, source), false);
      checked(libc, "connect", libc.connect(fd, door, door.length));
    }
    const start = performance.now();
    let bytes = 0;
    let tookMs = 0;
    while (tookMs < seconds * 1000) {
      const sent = Number(libc.send(fd, chunk, BigInt(CHUNK_BYTES), 0));
      bytes += checked(libc, "send", sent);
      tookMs = performance.now() - start;
    }
    return { bytesPerSecond: bytes / tookMs * 1000 };
  };
}

if (import.meta.main) {
  const libc = openLibc();
  const [role, family] = Deno.args;
  if (role === "sink") sink(libc, family === "ipv6" ? "ipv6" : "ipv4");
  else {
    const answer = source(libc);
    await serve((order) => answer(order as BulkOrder));
  }
}
