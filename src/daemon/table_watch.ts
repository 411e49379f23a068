// Watches nf_tables' notifications for changes of our table that are not our own. Needed where the
// kernel cannot protect the table by its owner flag.

import { openNetlinkSocket, SOCKET_BUFFER } from "../../ffi/libmnl.ts";
import { KernelError } from "../errors.ts";
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

export interface TableWatch extends Disposable {
  readonly fd: number;
  /** Reads what came; true when somebody else changed our table, or may have. */
  takeChange(): boolean;
}

const BUFFER_BYTES = 4 * 1024 * 1024;
const TABLE_NAME = NFTA_TABLE.NFTA_TABLE_NAME; // attribute 1 is the table's name in all of them
const SET_NAME = NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_SET;

/** @param ownPort the netlink port of the socket whose changes are our own. */
export function openTableWatch(ownPort: number): TableWatch {
  const socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  socket.setBuffer(SOCKET_BUFFER.SO_RCVBUFFORCE, BUFFER_BYTES);
  socket.setOption(
    "NETLINK_ADD_MEMBERSHIP",
    NETLINK_OPTION.NETLINK_ADD_MEMBERSHIP,
    NFNLGRP_NFTABLES,
  );
  return {
    fd: socket.fd,
    takeChange() {
      let changed = false;
      while (true) {
        try {
          const datagram = socket.receive(0);
          if (datagram === undefined) return changed;
          changed ||= readMessages(datagram).some((message) => concerns(message, ownPort));
        } catch (error) {
          // ENOBUFS: notifications were lost, so anything may have happened.
          if (!(error instanceof KernelError && error.code === "ENOBUFS")) throw error;
          changed = true;
        }
      }
    },
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  };
}

/** Grants may be added and revoked by others; the rest of the table is ours alone. */
function concerns(message: Message, ownPort: number): boolean {
  if (message.port === ownPort || message.type >> 8 !== NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES) {
    return false;
  }
  if (messageFamily(message) !== FAMILY.NFPROTO_INET) return false;
  const kind = message.type & 0xff;
  if (kind === NFT_MSG.NFT_MSG_NEWGEN) return false;
  const attributes = messageAttributes(message);
  if (getText(attributes, TABLE_NAME) !== TABLE) return false;
  const element = kind === NFT_MSG.NFT_MSG_NEWSETELEM || kind === NFT_MSG.NFT_MSG_DELSETELEM;
  return !element || !/^(grants|inherited)/.test(getText(attributes, SET_NAME) ?? "");
}
