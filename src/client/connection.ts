// A TCP connection to the opened port: whether it comes about, and why not.

import { type ConnectedSocket, connectSocket } from "../../ffi/passed_socket.ts";
import type { Destination } from "./knock_sockets.ts";

/** Until it is asked again at a port that refused. */
const RETRY_MS = 100;

/** Why there is no connection; `refused` answered with a reset, `silent` not at all. */
export type Failure = "refused" | "silent" | "unreachable";

/** One attempt to connect, within a time. */
export type Dial<T> = (to: Destination, port: number, timeoutMs: number) => Promise<T | Failure>;

/** How long a connection is tried for. */
export interface Patience {
  readonly timeoutMs: number;
  /** Of it, how long a reset may be the answer: the grant may be on its way. */
  readonly refusedMs?: number;
}

/** Connects, within a time; where the answer is a reset, it asks again. */
export async function openConnection<T>(
  dial: Dial<T>,
  to: Destination,
  port: number,
  { timeoutMs, refusedMs = timeoutMs }: Patience,
): Promise<T | Failure> {
  const started = performance.now();
  for (;;) {
    const connection = await dial(to, port, timeoutMs - (performance.now() - started));
    if (connection !== "refused") return connection;
    const nextMs = performance.now() - started + RETRY_MS;
    if (nextMs >= Math.min(timeoutMs, refusedMs)) return "refused";
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** A connection of Deno's. */
export async function dial(
  to: Destination,
  port: number,
  timeoutMs: number,
): Promise<Deno.TcpConn | Failure> {
  const signal = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
  try {
    return await Deno.connect({ hostname: to.text, port, signal });
  } catch (error) {
    if (signal.aborted) return "silent";
    return error instanceof Deno.errors.ConnectionRefused ? "refused" : "unreachable";
  }
}

/** A connection as a descriptor, to be passed on to another process or joined by the kernel: on Linux. */
export async function dialSocket(
  to: Destination,
  port: number,
  timeoutMs: number,
): Promise<ConnectedSocket | Failure> {
  const connection = await connectSocket(to, port, timeoutMs);
  if (typeof connection !== "string") return connection;
  if (connection === "ETIMEDOUT") return "silent";
  return connection === "ECONNREFUSED" ? "refused" : "unreachable";
}
