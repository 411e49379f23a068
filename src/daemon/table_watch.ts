// Watches nf_tables' notifications for changes of our table that are not our own, and who made them.
// Needed where the kernel cannot protect the table by its owner flag.
//
// A transaction is told as messages about its objects, all from the port of its author's socket, and
// then NFT_MSG_NEWGEN, which alone names the process.

import { openNetlinkSocket, SOCKET_BUFFER } from "../../ffi/libmnl.ts";
import { DecodeError, KernelError } from "../errors.ts";
import { TABLE } from "../firewall/ruleset.ts";
import { getText } from "../netlink/attribute.ts";
import {
  FAMILY,
  NETLINK,
  NETLINK_OPTION,
  NFNL_SUBSYS,
  NFNLGRP_NFTABLES,
} from "../netlink/constants.ts";
import { type Message, readMessages } from "../netlink/message.ts";
import { messageAttributes, messageFamily } from "../netlink/nfnetlink.ts";
import { NFT_MSG, NFTA_SET_ELEM_LIST, NFTA_TABLE } from "../nftables/constants.ts";
import { type Author, parseAuthor } from "../nftables/generation.ts";

export interface TableWatch extends Disposable {
  readonly fd: number;
  /** Reads what came; the change that somebody else made to our table, or may have made. */
  takeChange(): Change | undefined;
  /**
   * Who made the change, where the kernel told. It tells last: ask after a transaction of our own,
   * since that one had to wait for the other to end. Further changes stay to be taken.
   */
  authorOf(change: Change): Author | undefined;
}

/** Of several changes at once, the first. */
export interface Change {
  /** Netlink port of its author; undefined where notifications were lost, so that nobody knows. */
  readonly port: number | undefined;
}

interface Noticed extends Change {
  author?: Author | undefined;
  /** NFT_MSG_NEWGEN has come: what this port says now is about another transaction. */
  ended: boolean;
}

/** A socket that notifications come from. */
export interface NotificationSocket extends Disposable {
  readonly fd: number;
  receive(timeoutMs: number): Uint8Array | undefined;
}

const BUFFER_BYTES = 4 * 1024 * 1024;
const TABLE_NAME = NFTA_TABLE.NFTA_TABLE_NAME; // attribute 1 is the table's name in all of them
const SET_NAME = NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_SET;

/** @param ownPort the netlink port of the socket whose changes are our own. */
export function openTableWatch(
  ownPort: number,
  socket: NotificationSocket = subscribe(),
): TableWatch {
  /** The last one taken. */
  let current: Noticed | undefined;
  let next: Noticed | undefined;

  const notice = (message: Message) => {
    if (message.port === ownPort || message.type >> 8 !== NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES) return;
    const open = [current, next].find((one) => one?.port === message.port && !one.ended);
    if ((message.type & 0xff) === NFT_MSG.NFT_MSG_NEWGEN) {
      if (open === undefined) return;
      open.ended = true;
      open.author = parseAuthor(messageAttributes(message));
    } else if (open === undefined && concerns(message)) {
      // What follows from this port belongs to the same transaction.
      next ??= { port: message.port, ended: false };
    }
  };

  /** After it anything may have happened, and nothing that was begun is sure to be told to its end. */
  const loseTrack = () => {
    current = undefined;
    next = { port: undefined, ended: true };
  };

  const read = () => {
    while (true) {
      try {
        const datagram = socket.receive(0);
        if (datagram === undefined) return;
        for (const message of readMessages(datagram)) notice(message);
      } catch (error) {
        // ENOBUFS: the buffer was full, and the kernel left notifications out.
        const lost = error instanceof KernelError && error.code === "ENOBUFS";
        if (!lost && !(error instanceof DecodeError)) throw error;
        loseTrack();
      }
    }
  };

  return {
    fd: socket.fd,
    takeChange() {
      read();
      const change = next;
      if (change !== undefined) current = change;
      next = undefined;
      return change;
    },
    authorOf(change) {
      read();
      if (current === undefined || change !== current) return undefined;
      current.ended = true; // whether it was told or not
      return current.author;
    },
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  };
}

function subscribe(): NotificationSocket {
  const socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  socket.setBuffer(SOCKET_BUFFER.SO_RCVBUFFORCE, BUFFER_BYTES);
  socket.setOption(
    "NETLINK_ADD_MEMBERSHIP",
    NETLINK_OPTION.NETLINK_ADD_MEMBERSHIP,
    NFNLGRP_NFTABLES,
  );
  return socket;
}

/** Grants may be added and revoked by others; the rest of the table is ours alone. */
function concerns(message: Message): boolean {
  if (messageFamily(message) !== FAMILY.NFPROTO_INET) return false;
  const kind = message.type & 0xff;
  const attributes = messageAttributes(message);
  if (getText(attributes, TABLE_NAME) !== TABLE) return false;
  const element = kind === NFT_MSG.NFT_MSG_NEWSETELEM || kind === NFT_MSG.NFT_MSG_DELSETELEM;
  return !element || !/^(grants|inherited)/.test(getText(attributes, SET_NAME) ?? "");
}
