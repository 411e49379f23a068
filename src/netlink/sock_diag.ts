// sock_diag (linux/sock_diag.h, linux/inet_diag.h, man 7 sock_diag): the kernel's list of TCP
// sockets. Pure; needs no privilege.
//
// struct inet_diag_req_v2: family u8, protocol u8, ext u8, pad u8, states u32, then inet_diag_sockid
// (48 bytes). struct inet_diag_msg: family u8, state u8, timer u8, retrans u8, then the sockid:
//
//   4       6       8                       24                      40
//  +-------+-------+-----------------------+-----------------------+- - -
//  | sport | dport | src (be32 x 4)        | dst (be32 x 4)        |
//  +-------+-------+-----------------------+-----------------------+- - -

import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { Source } from "../packet/header.ts";
import { NLM_F } from "./constants.ts";
import type { NamedRequest } from "./conversation.ts";
import type { Message } from "./message.ts";

const SOCK_DIAG_BY_FAMILY = 20;
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_TCP = 6;
const SOCKID_BYTES = 48;

/** States in which data still flows at least one way (net/tcp_states.h, 1 << state). */
const LIVE_STATES = [/* ESTABLISHED */ 1, /* FIN_WAIT1 */ 4, 5, /* CLOSE_WAIT */ 8, 9, 11]
  .reduce((mask, state) => mask | 1 << state, 0);

/** One live TCP connection of this host, seen from this host. */
export interface Session {
  readonly port: number;
  readonly source: Readonly<Source>;
  readonly sourcePort: number;
}

/** Asks for the live TCP sockets of both families: one request each. */
export function listSessions(): NamedRequest[] {
  return [AF_INET, AF_INET6].map((family) => {
    const writer = new Writer().u8(family).u8(IPPROTO_TCP).u16ne(0).u32ne(LIVE_STATES);
    return {
      what: "list TCP sockets",
      type: SOCK_DIAG_BY_FAMILY,
      flags: NLM_F.NLM_F_DUMP,
      header: writer.raw(new Uint8Array(SOCKID_BYTES)).bytes(),
      attributes: [],
    };
  });
}

/** The session in one message of the answer. */
export function parseSession(message: Message): Session {
  const reader = new Reader(message.payload);
  const family = reader.u8();
  reader.raw(3);
  const port = reader.u16be();
  const sourcePort = reader.u16be();
  reader.raw(16);
  const [word0, word1, word2, word3] = [
    reader.u32be(),
    reader.u32be(),
    reader.u32be(),
    reader.u32be(),
  ];
  if (family === AF_INET) return { port, sourcePort, source: ipv4(word0) };
  // A socket of both families has an IPv4 peer as an IPv4-mapped address.
  if (word0 === 0 && word1 === 0 && word2 === 0xffff) {
    return { port, sourcePort, source: ipv4(word3) };
  }
  return { port, sourcePort, source: { family: 6, word0, word1, word2, word3 } };
}

function ipv4(word3: number): Source {
  return { family: 4, word0: 0, word1: 0, word2: 0, word3 };
}
