// Knocks through Deno's own sockets, for systems other than Linux. A connection attempt is given up
// before any system repeats its SYN (1 s, RFC 6298); one that stood by then is closed in an orderly
// way, which the Linux way avoids.

import { HostError } from "../errors.ts";
import type { Destination, KnockSockets } from "./knock_sockets.ts";

/** Long enough for a SYN that waits for the neighbour's hardware address (ARP). */
const GIVE_UP_MS = 300;

export const portableSockets: KnockSockets = {
  tcp: (to, port) => {
    // Deno sends the SYN in this call; its outcome tells of local refusals only late, so that the
    // sequence does not wait for it.
    const signal = AbortSignal.timeout(GIVE_UP_MS);
    Deno.connect({ hostname: to.text, port, signal }).then((open) => open.close(), () => {});
    return Promise.resolve();
  },
  udp: sendDatagram,
  echo: () => Promise.reject(new Error("requireEcho() refuses before")),
  requireEcho: (to, bytes) => {
    throw new HostError(
      `Cannot send an echo request to ${to.text}: pk does so on Linux only`,
      `Knock with ping -s ${bytes} -c 1 ${to.text}`,
    );
  },
  // A socket of Deno's has no address of its own before it has sent something.
  sourceTowards: (to) =>
    Promise.reject(
      new HostError(
        `Cannot tell from which address packets to ${to.text} go`,
        "Write the own address into the profile (address: 192.0.2.9)",
      ),
    ),
  interfaceIndex: () => 0,
};

async function sendDatagram(
  to: Destination,
  port: number,
  payload: Uint8Array<ArrayBuffer>,
): Promise<void> {
  // By dynamic import: Deno's part for Node costs memory, which a server needs not spend.
  const { createSocket } = await import("node:dgram");
  const socket = createSocket(to.address.family === 4 ? "udp4" : "udp6");
  try {
    await new Promise<void>((fulfil, fail) => {
      socket.on("error", fail);
      socket.send(payload, port, to.text, (error) => error ? fail(error) : fulfil());
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HostError(
      `Cannot send udp/${port} to ${to.text}: ${reason}`,
      "Look at the network of this host; -4 and -6 choose the family",
    );
  } finally {
    socket.close();
  }
}
