// Numbers of linux/netlink.h and linux/netfilter/nfnetlink.h, in the kernel's spelling.

/** nlmsghdr.nlmsg_type below NLMSG_MIN_TYPE. */
export const NLMSG = { NLMSG_NOOP: 1, NLMSG_ERROR: 2, NLMSG_DONE: 3, NLMSG_OVERRUN: 4 } as const;

/** nlmsghdr.nlmsg_flags. */
export const NLM_F = {
  NLM_F_REQUEST: 0x1,
  NLM_F_MULTI: 0x2,
  NLM_F_ACK: 0x4,
  NLM_F_DUMP_INTR: 0x10,
  NLM_F_CAPPED: 0x100,
  NLM_F_ACK_TLVS: 0x200,
  NLM_F_EXCL: 0x200,
  NLM_F_DUMP: 0x300,
  NLM_F_CREATE: 0x400,
  NLM_F_APPEND: 0x800,
} as const;

/** nlattr.nla_type: the two bits that are not part of the type. */
export const NLA = {
  NLA_F_NESTED: 0x8000,
  NLA_F_NET_BYTEORDER: 0x4000,
  NLA_TYPE_MASK: 0x3fff,
} as const;

/** Attributes of an extended ack (linux/netlink.h, enum nlmsgerr_attrs). */
export const NLMSGERR_ATTR = { NLMSGERR_ATTR_MSG: 1, NLMSGERR_ATTR_OFFS: 2 } as const;

/** Protocols of a netlink socket. */
export const NETLINK = { NETLINK_SOCK_DIAG: 4, NETLINK_NETFILTER: 12 } as const;

/** Socket options at level SOL_NETLINK. */
export const NETLINK_OPTION = {
  NETLINK_ADD_MEMBERSHIP: 1,
  NETLINK_NO_ENOBUFS: 5,
  NETLINK_CAP_ACK: 10,
  NETLINK_EXT_ACK: 11,
} as const;

/** Subsystems of nfnetlink: the high byte of the message type. */
export const NFNL_SUBSYS = {
  NFNL_SUBSYS_CTNETLINK: 1,
  NFNL_SUBSYS_QUEUE: 3,
  NFNL_SUBSYS_ULOG: 4,
  NFNL_SUBSYS_NFTABLES: 10,
} as const;

/** Messages around a transaction. */
export const NFNL_MSG = { NFNL_MSG_BATCH_BEGIN: 0x10, NFNL_MSG_BATCH_END: 0x11 } as const;

/** Multicast group with every change of nf_tables. */
export const NFNLGRP_NFTABLES = 7;

/** nfgenmsg.nfgen_family (linux/netfilter.h, linux/socket.h). */
export const FAMILY = { AF_UNSPEC: 0, NFPROTO_INET: 1, NFPROTO_IPV4: 2, NFPROTO_IPV6: 10 } as const;
