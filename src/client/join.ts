// Joins a connection with an input and an output, as ssh's ProxyCommand wants it: bytes both ways
// until both sides have ended, each side's end handed on by itself.

import { HostError, KernelError } from "../errors.ts";
import { outputError } from "../output.ts";

/** Pipes hold 64 KiB; more at once only helps sockets. */
const CHUNK_BYTES = 128 * 1024;

interface Input {
  read(into: Uint8Array): Promise<number | null>;
}

interface Output {
  write(from: Uint8Array): Promise<number>;
  close(): void;
}

/** The side of a connection that can be ended alone. */
interface Peer extends Input {
  write(from: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

/**
 * Copies input → peer and peer → output. Comes back when both ended, or when nobody takes the output
 * any more; closes the peer.
 *
 * @throws {HostError} when the connection broke, or the output cannot be written, on a full disk for one.
 */
export async function join(peer: Peer, input: Input, output: Output): Promise<void> {
  const sending = copy(input, peer, "input").then(() => peer.closeWrite().catch(() => {}));
  sending.catch(() => {}); // told below, unless the other direction tells of the same
  try {
    const end = await copy(peer, output, "peer");
    // Who does not take the output does not read it either: waiting for the input would be in vain.
    if (end === "unread") return;
    closeQuietly(output);
    await sending;
  } finally {
    closeQuietly(peer);
  }
}

/** Copies to the end. @returns "unread" where the output does not want any more. */
async function copy(
  from: Input,
  to: Pick<Output, "write">,
  source: "input" | "peer",
): Promise<"ended" | "unread"> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (;;) {
    const count = await from.read(buffer).catch((error) => {
      if (source === "peer") throw broken(error);
      return null; // a terminal that went away
    });
    if (count === null) return "ended";
    try {
      for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
    } catch (error) {
      if (source === "input") throw broken(error);
      const told = outputError(error);
      if (told !== undefined) throw told;
      return "unread";
    }
  }
}

function closeQuietly(what: { close(): void }): void {
  try {
    what.close();
  } catch {
    // It is closed already.
  }
}

export function broken(error: unknown): HostError {
  const words = error instanceof KernelError ? error.kernelMessage : undefined;
  const reason = words ?? (error instanceof Error ? error.message : String(error));
  return new HostError(
    `The connection broke: ${reason}`,
    "Look at the network, and at the server: a door with then: cut ends connections with the grant",
  );
}
