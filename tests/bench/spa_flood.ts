// A flood of what might be fwknop's single packets: UDP datagrams of random base64 text of their size,
// at a rate. Each has to be tried with the keys before it can be thrown away.
//
//   ip netns exec NS deno run --allow-ffi tests/bench/spa_flood.ts
//   {"count":1000,"rate":1000}

import { SERVER, SPA_PORT } from "./addresses.ts";
import { serve } from "./background.ts";
import type { Sent } from "./generator.ts";
import { checked, type Libc, openLibc } from "./libc.ts";
import { serverAt } from "./sockets.ts";

export interface DatagramOrder {
  readonly count: number;
  /** Datagrams per second. */
  readonly rate: number;
}

const AF_INET = 2, SOCK_DGRAM = 2;
const LENGTH = 204;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** The clock is asked once for so many. */
const BURST_MS = 1;

function send(libc: Libc, fd: number, { count, rate }: DatagramOrder): Sent {
  const letters = new TextEncoder().encode(ALPHABET);
  const datagram = new Uint8Array(LENGTH);
  const start = performance.now();
  let sent = 0;
  while (sent < count) {
    const due = Math.min(count, Math.floor((performance.now() - start) * rate / 1000));
    for (; sent < due; sent++) {
      crypto.getRandomValues(datagram);
      for (let index = 0; index < LENGTH; index++) {
        datagram[index] = letters[(datagram[index] ?? 0) & 63] ?? 0;
      }
      libc.send(fd, datagram, BigInt(LENGTH), 0); // a port that nobody has open answers: no error
    }
    libc.nanosleep(new BigInt64Array([0n, BigInt(BURST_MS * 1e6)]), null);
  }
  const seconds = (performance.now() - start) / 1000;
  const endedMs = performance.timeOrigin + performance.now();
  return { sent, seconds, rate: sent / seconds, endedMs };
}

if (import.meta.main) {
  const libc = openLibc();
  const server = serverAt("ipv4", SPA_PORT);
  const fd = checked(libc, "open a socket", libc.socket(AF_INET, SOCK_DGRAM, 0));
  checked(libc, `connect to ${SERVER.ipv4}`, libc.connect(fd, server, server.length));
  await serve((order) => send(libc, fd, order as DatagramOrder));
}
