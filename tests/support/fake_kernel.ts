// A kernel that is one function: the bytes of a request in, the datagrams of its answer out. With the
// encoders of what a kernel answers (struct nlmsgerr, linux/netlink.h).

import { Writer } from "../../src/bytes/writer.ts";
import { type Attribute, text, writeAttributes } from "../../src/netlink/attribute.ts";
import { FAMILY, NLM_F, NLMSG, NLMSGERR_ATTR } from "../../src/netlink/constants.ts";
import { type Message, readMessages } from "../../src/netlink/message.ts";
import type { Transport } from "../../src/netlink/transport.ts";

export type Kernel = (request: Uint8Array) => Uint8Array[];

/** A socket to such a kernel. What was not read is still there at the next exchange. */
export function socketTo(kernel: Kernel): Transport {
  const waiting: Uint8Array[] = [];
  return {
    send: (bytes) => void waiting.push(...kernel(bytes)),
    receive: () => waiting.shift(),
  };
}

/** The answer to one request is the ack of it. */
export function ack(request: Pick<Message, "sequence">): Uint8Array {
  return refusal(request, 0);
}

/** An NLMSG_ERROR; with words, an extended ack as a socket with NETLINK_CAP_ACK gets it. */
export function refusal(
  request: Pick<Message, "sequence"> & Partial<Message>,
  errno: number,
  words?: string,
): Uint8Array {
  const { type = 0, flags = 0, sequence, port = 0 } = request;
  const error = new Writer().u32ne(-errno >>> 0);
  error.u32ne(16).u16ne(type).u16ne(flags).u32ne(sequence).u32ne(port);
  if (words !== undefined) {
    writeAttributes(error, [text(NLMSGERR_ATTR.NLMSGERR_ATTR_MSG, words)]);
  }
  const tlvs = words === undefined ? 0 : NLM_F.NLM_F_ACK_TLVS;
  return message(NLMSG.NLMSG_ERROR, NLM_F.NLM_F_CAPPED | tlvs, sequence, error.bytes());
}

/** The end of a dump. */
export function done(sequence: number, errno = 0): Uint8Array {
  const payload = new Writer().u32ne(-errno >>> 0).bytes();
  return message(NLMSG.NLMSG_DONE, NLM_F.NLM_F_MULTI, sequence, payload);
}

/** A message about a netfilter object of family inet. */
export function objectMessage(
  type: number,
  sequence: number,
  attributes: readonly Attribute[],
  flags = 0,
): Uint8Array {
  const payload = new Writer().u8(FAMILY.NFPROTO_INET).u8(0).u16be(0);
  writeAttributes(payload, attributes);
  return message(type, flags, sequence, payload.bytes());
}

/** One netlink message. */
export function message(
  type: number,
  flags: number,
  sequence: number,
  payload: Uint8Array,
): Uint8Array {
  const writer = new Writer().u32ne(16 + payload.length).u16ne(type).u16ne(flags);
  return writer.u32ne(sequence).u32ne(4711).raw(payload).align(4).bytes();
}

/** Several messages in one datagram. */
export function datagram(...messages: readonly Uint8Array[]): Uint8Array {
  return messages.reduce((writer, one) => writer.raw(one), new Writer()).bytes();
}

/** The messages of a request. */
export function messagesOf(request: Uint8Array): [Message, ...Message[]] {
  const [first, ...others] = readMessages(request);
  if (first === undefined) throw new Error("An empty request");
  return [first, ...others];
}
