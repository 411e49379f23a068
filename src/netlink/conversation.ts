// Requests and their replies over one netlink socket. Replies are matched by sequence number, so that
// what is left from an exchange that failed cannot be taken for the answer to the next.

import { DecodeError, ERRNO, KernelError, TransactionError, UnansweredError } from "../errors.ts";
import { NLM_F, NLMSG } from "./constants.ts";
import {
  encodeRequest,
  isPlainAck,
  type Message,
  readAck,
  readMessages,
  type Request,
} from "./message.ts";
import { encodeBatch } from "./nfnetlink.ts";
import type { Transport } from "./transport.ts";

/** A request with its purpose in words, for errors: `add chain "guard"`. */
export interface NamedRequest extends Request {
  readonly what: string;
}

/** A transaction that is bytes but for its sequence numbers. */
export interface Batch {
  /** Requests in it, one at least. */
  readonly count: number;
  /** The purpose of a request, by its index. */
  what(index: number): string;
  /**
   * The whole, with its marks: the mark at the front has this sequence number, each request one more.
   * The last request asks for an ack, no other.
   */
  encode(begin: number): Uint8Array<ArrayBuffer>;
}

/** A transaction that the kernel has carried out, or refused, but whose ack was not read yet. */
export interface Submitted {
  /**
   * Reads what the kernel said of it. Asked again, it says the same.
   *
   * @throws {TransactionError} naming the first request that was refused.
   * @throws {UnansweredError} when no ack came.
   */
  settle(): void;
}

export interface Conversation {
  /**
   * Carries out all requests as one transaction, or none.
   *
   * @throws {TransactionError} naming the first request that was refused.
   * @throws {UnansweredError} when it was sent and no ack came.
   * @throws {KernelError} when it could not be sent.
   */
  transact(requests: readonly NamedRequest[]): void;
  /**
   * Has the kernel carry out a transaction that is bytes: when this comes back it has done so, or
   * refused. Its ack is read by `settle`, or before whatever is asked next.
   *
   * @throws {KernelError} when it could not be sent.
   */
  submit(batch: Batch): Submitted;
  /**
   * Asks once and collects the answer: one message, or all of a dump.
   *
   * @throws {KernelError}
   */
  ask(request: NamedRequest): Message[];
}

const WAIT = "wait for the kernel's ack";

/** A dump that others' changes interrupted is asked for anew this often. */
const DUMP_TRIES = 5;

/** A conversation over a socket that nothing else reads from. */
export function openConversation(transport: Transport): Conversation {
  let next = 1;
  /** Reads the ack of what was submitted last. Acks come in order, each before the next answer. */
  let settleLast = (): unknown => undefined;
  const takeSequences = (count: number) => {
    if (next + count > 0xffff_ffff) next = 1;
    const first = next;
    next += count;
    return first;
  };

  const transact = (requests: readonly NamedRequest[]) => {
    if (requests.length === 0) return;
    submit({
      count: requests.length,
      what: (index) => requests[index]?.what ?? "change nf_tables",
      encode: (begin) => encodeBatch(withFinalAck(requests), begin),
    }).settle();
  };

  const submit = (batch: Batch): Submitted => {
    settleLast();
    const begin = takeSequences(batch.count + 2);
    transport.send(batch.encode(begin));
    let outcome: KernelError | "done" | undefined;
    const settled = () => outcome ??= outcomeOf(batch, begin);
    settleLast = settled;
    return {
      settle() {
        const error = settled();
        if (error !== "done") throw error;
      },
    };
  };

  const outcomeOf = (batch: Batch, begin: number): KernelError | "done" => {
    try {
      return awaitAcks(batch, begin) ?? "done";
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return new UnansweredError(error.operation, error.errno, error.kernelMessage);
    }
  };

  /** @throws {KernelError} when no ack came. */
  const awaitAcks = ({ count, what }: Batch, begin: number): TransactionError | undefined => {
    const last = begin + count;
    const first = transport.receive();
    // What nearly always comes.
    if (first !== undefined && isPlainAck(first, last)) return undefined;
    let refusal: KernelError | undefined;
    const refused = new Set<number>();
    for (const message of replies(transport, begin, last, WAIT, first)) {
      if (message.type !== NLMSG.NLMSG_ERROR) continue;
      const { errno, message: words } = reading(WAIT, () => readAck(message));
      if (errno !== 0) {
        const index = message.sequence - begin - 1;
        refusal ??= new KernelError(index < 0 ? "change nf_tables" : what(index), errno, words);
        refused.add(index);
      }
      // An error that names the batch as a whole is the only one that comes.
      if (message.sequence === last || (errno !== 0 && message.sequence === begin)) break;
    }
    return refusal && new TransactionError(refusal, refused);
  };

  const askOnce = (request: NamedRequest): Message[] | "interrupted" => {
    settleLast();
    const sequence = takeSequences(1);
    const dump = (request.flags & NLM_F.NLM_F_DUMP) === NLM_F.NLM_F_DUMP;
    transport.send(
      encodeRequest(
        dump ? request : { ...request, flags: request.flags | NLM_F.NLM_F_ACK },
        sequence,
      ),
    );
    const answer: Message[] = [];
    let interrupted = false;
    const first = transport.receive();
    for (const message of replies(transport, sequence, sequence, request.what, first)) {
      interrupted ||= (message.flags & NLM_F.NLM_F_DUMP_INTR) !== 0;
      if (message.type !== NLMSG.NLMSG_ERROR && message.type !== NLMSG.NLMSG_DONE) {
        answer.push(message);
        continue;
      }
      const { errno, message: words } = reading(request.what, () => readAck(message));
      if (errno !== 0) throw new KernelError(request.what, errno, words);
      break;
    }
    return interrupted ? "interrupted" : answer;
  };

  const ask = (request: NamedRequest) => {
    for (let tries = 0; tries < DUMP_TRIES; tries++) {
      const answer = askOnce(request);
      if (answer !== "interrupted") return answer;
    }
    throw new KernelError(request.what, ERRNO.EBUSY, "others kept changing it meanwhile");
  };

  return { transact, submit, ask };
}

/**
 * Messages whose sequence number is one of ours, as they come, until the caller has enough; the first
 * datagram was received already, or did not come.
 */
function* replies(
  transport: Transport,
  first: number,
  last: number,
  what: string,
  received: Uint8Array | undefined,
): Generator<Message> {
  for (let datagram = received;; datagram = transport.receive()) {
    if (datagram === undefined) throw new KernelError(what, ERRNO.ETIMEDOUT, "no answer came");
    for (const message of reading(what, () => [...readMessages(datagram)])) {
      if (message.sequence >= first && message.sequence <= last) yield message;
    }
  }
}

/** Carries out `read`; bytes that cannot be read are an answer that did not come. */
function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new KernelError(what, ERRNO.EBADMSG, error.message);
  }
}

/** Errors always come; one ack, for the last request, says that all went well. */
function withFinalAck(requests: readonly NamedRequest[]): Request[] {
  return requests.map((request, index) =>
    index === requests.length - 1 ? { ...request, flags: request.flags | NLM_F.NLM_F_ACK } : request
  );
}
