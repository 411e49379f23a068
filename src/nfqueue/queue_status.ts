// /proc/net/netfilter/nfnetlink_queue: one line a queue that has a listener, in decimal columns
// (net/netfilter/nfnetlink_queue.c, seq_show). Decoding only; whoever calls reads the file.

/** One queue of the current network namespace. */
export interface QueueStatus {
  readonly queueNumber: number;
  /** Netlink port of the listening socket; of a process's first socket it is the process id. */
  readonly peerPortId: number;
  /** Packets that wait for their verdict. */
  readonly waiting: number;
  /** NFQNL_COPY_*. */
  readonly copyMode: number;
  /** Bytes of a packet that come along in mode NFQNL_COPY_PACKET. */
  readonly copyRange: number;
  /** Packets dropped because the queue was full; with fail-open they are let through, uncounted. */
  readonly queueDropped: number;
  /** Packets dropped because the listener's socket buffer was full. */
  readonly userDropped: number;
  /** Id of the last packet that was queued. */
  readonly idSequence: number;
}

/**
 * Decodes the whole file. The ninth column, always 1, and any later one are ignored; a line that
 * does not begin with eight numbers is left out.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeQueueStatus } from "./queue_status.ts";
 * const [queue] = decodeQueueStatus("   77    412     3 2   256     0     0      941  1\n");
 * assert.ok(queue?.queueNumber === 77 && queue.waiting === 3 && queue.idSequence === 941);
 * ```
 */
export function decodeQueueStatus(text: string): readonly QueueStatus[] {
  return text.split("\n").flatMap((line) => decodeLine(line) ?? []);
}

const LINE = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)(\s|$)/;

function decodeLine(line: string): QueueStatus | undefined {
  const columns = LINE.exec(line)?.slice(1, 9).map(Number);
  if (columns === undefined) return undefined;
  const [
    queueNumber = 0,
    peerPortId = 0,
    waiting = 0,
    copyMode = 0,
    copyRange = 0,
    queueDropped = 0,
    userDropped = 0,
    idSequence = 0,
  ] = columns;
  return {
    queueNumber,
    peerPortId,
    waiting,
    copyMode,
    copyRange,
    queueDropped,
    userDropped,
    idSequence,
  };
}
