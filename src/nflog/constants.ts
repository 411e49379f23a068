// Numbers of linux/netfilter/nfnetlink_log.h, in the kernel's spelling.

/** Messages of the subsystem NFNL_SUBSYS_ULOG. */
export const NFULNL_MSG = { NFULNL_MSG_PACKET: 0, NFULNL_MSG_CONFIG: 1 } as const;

/** Attributes of NFULNL_MSG_PACKET. */
export const NFULA = {
  NFULA_PACKET_HDR: 1,
  NFULA_PAYLOAD: 9,
  NFULA_PREFIX: 10,
  NFULA_SEQ: 12,
} as const;

/** Attributes of NFULNL_MSG_CONFIG. */
export const NFULA_CFG = {
  NFULA_CFG_CMD: 1,
  NFULA_CFG_MODE: 2,
  NFULA_CFG_NLBUFSIZ: 3,
  NFULA_CFG_QTHRESH: 5,
  NFULA_CFG_FLAGS: 6,
} as const;

/** nfulnl_msg_config_cmd.command. */
export const NFULNL_CFG_CMD = { NFULNL_CFG_CMD_BIND: 1 } as const;

/** nfulnl_msg_config_mode.copy_mode. */
export const NFULNL_COPY = { NFULNL_COPY_PACKET: 2 } as const;

/** Bits of NFULA_CFG_FLAGS. */
export const NFULNL_CFG_F = { NFULNL_CFG_F_SEQ: 0x1 } as const;
