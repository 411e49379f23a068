// NFULNL_MSG_CONFIG (linux/netfilter/nfnetlink_log.h): makes a socket the listener of a log group.

import { Writer } from "../bytes/writer.ts";
import { raw, u32be } from "../netlink/attribute.ts";
import { FAMILY, NFNL_SUBSYS } from "../netlink/constants.ts";
import type { NamedRequest } from "../netlink/conversation.ts";
import { nfnetlinkRequest } from "../netlink/nfnetlink.ts";
import { NFULA_CFG, NFULNL_CFG_CMD, NFULNL_CFG_F, NFULNL_COPY, NFULNL_MSG } from "./constants.ts";

/** A message for each packet, at once: copies that are collected come too late. */
const PACKETS_PER_MESSAGE = 1;

/**
 * What the kernel allocates for each message at least: a SYN with all that is said of it fits, and
 * larger ones get what they need. Left alone it is a page, of which the socket's buffer holds fewer.
 */
const MESSAGE_BYTES = 512;

/**
 * Binds the group: each packet is copied up to `copyRange` bytes and sent at once, in a message of
 * its own with a running number, so that lost ones can be counted.
 *
 * The kernel answers EPERM when another socket has the group.
 */
export function bindGroup(group: number, copyRange: number): NamedRequest {
  // nfulnl_msg_config_mode: copy_range (be32), copy_mode (u8), pad.
  const mode = new Writer().u32be(copyRange).u8(NFULNL_COPY.NFULNL_COPY_PACKET).u8(0).bytes();
  const flags = new Writer().u16be(NFULNL_CFG_F.NFULNL_CFG_F_SEQ).bytes();
  return {
    what: `bind log group ${group}`,
    ...nfnetlinkRequest(
      NFNL_SUBSYS.NFNL_SUBSYS_ULOG,
      NFULNL_MSG.NFULNL_MSG_CONFIG,
      0,
      FAMILY.AF_UNSPEC,
      [
        raw(NFULA_CFG.NFULA_CFG_CMD, Uint8Array.of(NFULNL_CFG_CMD.NFULNL_CFG_CMD_BIND)),
        raw(NFULA_CFG.NFULA_CFG_MODE, mode),
        u32be(NFULA_CFG.NFULA_CFG_NLBUFSIZ, MESSAGE_BYTES),
        u32be(NFULA_CFG.NFULA_CFG_QTHRESH, PACKETS_PER_MESSAGE),
        raw(NFULA_CFG.NFULA_CFG_FLAGS, flags),
      ],
      group,
    ),
  };
}
