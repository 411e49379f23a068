// sock_diag (linux/sock_diag.h, linux/inet_diag.h, man 7 sock_diag): the kernel's list of TCP
// sockets, and the end of one. Pure; to list needs no privilege, to end needs CAP_NET_ADMIN.
//
// struct inet_diag_req_v2: family u8, protocol u8, ext u8, pad u8, states u32, then inet_diag_sockid
// (48 bytes). struct inet_diag_msg: family u8, state u8, timer u8, retrans u8, then the sockid:
//
//   0       2       4                       20                      36      40              48
//  +-------+-------+-----------------------+-----------------------+-------+---------------+
//  | sport | dport | src (be32 x 4)        | dst (be32 x 4)        | if    | cookie        |
//  +-------+-------+-----------------------+-----------------------+-------+---------------+

import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { Source } from "../packet/header.ts";
import { IPPROTO_TCP } from "../packet/protocol.ts";
import { NLM_F } from "./constants.ts";
import type { NamedRequest } from "./conversation.ts";
import type { Message } from "./message.ts";

const SOCK_DIAG_BY_FAMILY = 20;
const SOCK_DESTROY = 21;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCKID_BYTES = 48;
const SOCKID_REST_BYTES = SOCKID_BYTES - 4;

/** inet_diag_msg.idiag_timer of what is left of a socket in TIME_WAIT, whatever its state is. */
const TIMER_TIME_WAIT = 3;

/** net/tcp_states.h */
const TCP_SYN_SENT = 2;
const TCP_SYN_RECV = 3;

/** States in which data still flows at least one way (net/tcp_states.h, 1 << state). */
const LIVE_STATES = [/* ESTABLISHED */ 1, /* FIN_WAIT1 */ 4, 5, /* CLOSE_WAIT */ 8, 9, 11]
  .reduce((mask, state) => mask | 1 << state, 0);
const BEGUN_HERE = 1 << TCP_SYN_SENT;
const BEGUN_ELSEWHERE = 1 << TCP_SYN_RECV;

/** One live TCP connection of this host, seen from this host. */
export interface Session {
  readonly port: number;
  readonly source: Readonly<Source>;
  readonly sourcePort: number;
}

/** A connection with what names its socket. */
export interface Connection extends Session {
  /** This host's end. */
  readonly local: Readonly<Source>;
  /** Of the handshake the other side's last ACK is missing. */
  readonly halfOpen: boolean;
  /** Only what remembers it for some time is left. */
  readonly timeWait: boolean;
  /** The socket's own number, which it has for all its life, the handshake included. */
  readonly cookie: bigint;
  /** AF_INET or AF_INET6 of the socket: one of both families has IPv4 peers, too. */
  readonly socketFamily: number;
  /** struct inet_diag_sockid. */
  readonly socketId: Uint8Array;
}

/** Asks for the live TCP sockets of both families: one request each. */
export function listSessions(): NamedRequest[] {
  return list(LIVE_STATES, 0, 0);
}

/** As `listSessions`, of this port or 0 for all, with those that somebody else is about to begin. */
export function listConnections(port: number): NamedRequest[] {
  return list(LIVE_STATES | BEGUN_ELSEWHERE, port, 0);
}

/** Asks for the sockets of this host that are connected to that port of whomever, or 0 for all. */
export function listClients(remotePort: number): NamedRequest[] {
  return list(LIVE_STATES | BEGUN_HERE | BEGUN_ELSEWHERE, 0, remotePort);
}

/**
 * Asks to end the socket of a connection; the other side gets a reset. ENOENT or ESTALE: it has ended
 * already. EOPNOTSUPP: a kernel without CONFIG_INET_DIAG_DESTROY.
 */
export function destroy(
  { socketFamily, socketId }: Pick<Connection, "socketFamily" | "socketId">,
): NamedRequest {
  return {
    what: "end a TCP connection",
    type: SOCK_DESTROY,
    flags: 0,
    header: requestHeader(socketFamily, 0, socketId),
    attributes: [],
  };
}

/**
 * Asks to end a socket that cannot be, to learn whether this kernel ends sockets: ENOENT where it
 * does, EOPNOTSUPP where it does not.
 */
export function tryDestroy(): NamedRequest {
  return destroy({ socketFamily: AF_INET, socketId: new Uint8Array(SOCKID_BYTES) });
}

/** The session in one message of the answer. */
export function parseSession(message: Message): Session {
  const { port, source, sourcePort } = readSocket(message);
  return { port, source, sourcePort };
}

/** The connection in one message of the answer. */
export function parseConnection(message: Message): Connection {
  const { state, timer, ...connection } = readSocket(message);
  return {
    ...connection,
    halfOpen: state === TCP_SYN_RECV,
    timeWait: timer === TIMER_TIME_WAIT,
  };
}

/** 0 stands for any port. */
function list(states: number, localPort: number, remotePort: number): NamedRequest[] {
  const socketId = new Writer().u16be(localPort).u16be(remotePort)
    .raw(new Uint8Array(SOCKID_REST_BYTES)).bytes();
  return [AF_INET, AF_INET6].map((family) => ({
    what: "list TCP sockets",
    type: SOCK_DIAG_BY_FAMILY,
    flags: NLM_F.NLM_F_DUMP,
    header: requestHeader(family, states, socketId),
    attributes: [],
  }));
}

function requestHeader(
  family: number,
  states: number,
  socketId: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return new Writer().u8(family).u8(IPPROTO_TCP).u16ne(0).u32ne(states).raw(socketId).bytes();
}

function readSocket(message: Message) {
  const reader = new Reader(message.payload);
  const socketFamily = reader.u8();
  const state = reader.u8();
  const timer = reader.u8();
  reader.u8(); // retransmissions
  const socketId = reader.raw(SOCKID_BYTES);
  const id = new Reader(socketId);
  const port = id.u16be();
  const sourcePort = id.u16be();
  const local = readAddress(id, socketFamily);
  const source = readAddress(id, socketFamily);
  id.u32ne(); // interface
  const cookie = BigInt(id.u32ne()) | BigInt(id.u32ne()) << 32n;
  return { state, timer, port, sourcePort, local, source, cookie, socketFamily, socketId };
}

/** A socket of both families has an IPv4 peer as an IPv4-mapped address. */
function readAddress(reader: Reader, family: number): Source {
  const [word0, word1, word2, word3] = [
    reader.u32be(),
    reader.u32be(),
    reader.u32be(),
    reader.u32be(),
  ];
  if (family === AF_INET) return ipv4(word0);
  if (word0 === 0 && word1 === 0 && word2 === 0xffff) return ipv4(word3);
  return { family: 6, word0, word1, word2, word3 };
}

function ipv4(word3: number): Source {
  return { family: 4, word0: 0, word1: 0, word2: 0, word3 };
}
