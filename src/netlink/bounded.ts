// A transport that ends: after so many bytes and so long, whatever the kernel still has to tell. For
// one exchange over a socket of its own, which is closed afterwards, half-read dumps and all.

import { ERRNO, KernelError } from "../errors.ts";
import type { Transport } from "./transport.ts";

export interface Bounds {
  readonly bytesMax: number;
  readonly endMs: number;
  /** Now, by the clock of `endMs`. */
  readonly nowMs: () => number;
}

/** @throws {KernelError} from receive(): EMSGSIZE behind the bytes, ETIMEDOUT behind the time. */
export function bounded(transport: Transport, { bytesMax, endMs, nowMs }: Bounds): Transport {
  const what = "read to the end";
  let bytes = 0;
  return {
    send: (request) => transport.send(request),
    receive() {
      const leftMs = endMs - nowMs();
      if (leftMs <= 0) throw new KernelError(what, ERRNO.ETIMEDOUT, "it takes too long");
      const datagram = transport.receive(leftMs);
      bytes += datagram?.length ?? 0;
      if (bytes <= bytesMax) return datagram;
      throw new KernelError(what, ERRNO.EMSGSIZE, `more than ${bytesMax} bytes`);
    },
  };
}
