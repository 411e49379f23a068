// Numbers of linux/netfilter/nfnetlink_queue.h, in the kernel's spelling.

/** Messages of the subsystem NFNL_SUBSYS_QUEUE. */
export const NFQNL_MSG = {
  NFQNL_MSG_PACKET: 0,
  NFQNL_MSG_VERDICT: 1,
  NFQNL_MSG_CONFIG: 2,
  NFQNL_MSG_VERDICT_BATCH: 3,
} as const;

/** Attributes of NFQNL_MSG_PACKET and of the verdicts. */
export const NFQA = {
  NFQA_PACKET_HDR: 1,
  NFQA_VERDICT_HDR: 2,
  NFQA_MARK: 3,
  NFQA_TIMESTAMP: 4,
  NFQA_IFINDEX_INDEV: 5,
  NFQA_IFINDEX_OUTDEV: 6,
  NFQA_IFINDEX_PHYSINDEV: 7,
  NFQA_IFINDEX_PHYSOUTDEV: 8,
  NFQA_HWADDR: 9,
  NFQA_PAYLOAD: 10,
  NFQA_CT: 11,
  NFQA_CT_INFO: 12,
  NFQA_CAP_LEN: 13,
  NFQA_SKB_INFO: 14,
  NFQA_EXP: 15,
  NFQA_UID: 16,
  NFQA_GID: 17,
  NFQA_SECCTX: 18,
  NFQA_VLAN: 19,
  NFQA_L2HDR: 20,
  NFQA_PRIORITY: 21,
} as const;

/** nfqnl_msg_config_cmd.command. */
export const NFQNL_CFG_CMD = {
  NFQNL_CFG_CMD_NONE: 0,
  NFQNL_CFG_CMD_BIND: 1,
  NFQNL_CFG_CMD_UNBIND: 2,
  NFQNL_CFG_CMD_PF_BIND: 3,
  NFQNL_CFG_CMD_PF_UNBIND: 4,
} as const;

/** nfqnl_msg_config_params.copy_mode: how much of a packet comes along. */
export const NFQNL_COPY = {
  NFQNL_COPY_NONE: 0,
  NFQNL_COPY_META: 1,
  NFQNL_COPY_PACKET: 2,
} as const;

/** Attributes of NFQNL_MSG_CONFIG. */
export const NFQA_CFG = {
  NFQA_CFG_CMD: 1,
  NFQA_CFG_PARAMS: 2,
  NFQA_CFG_QUEUE_MAXLEN: 3,
  NFQA_CFG_MASK: 4,
  NFQA_CFG_FLAGS: 5,
} as const;

/** Bits of NFQA_CFG_FLAGS and NFQA_CFG_MASK. */
export const NFQA_CFG_F = {
  NFQA_CFG_F_FAIL_OPEN: 0x1,
  NFQA_CFG_F_CONNTRACK: 0x2,
  NFQA_CFG_F_GSO: 0x4,
  NFQA_CFG_F_UID_GID: 0x8,
  NFQA_CFG_F_SECCTX: 0x10,
} as const;
