// Numbers of linux/netfilter/nf_tables.h, nf_tables_compat.h and linux/netfilter.h, in the kernel's
// spelling. `persist` is newer than many installed headers: linux 6.9, commit "netfilter: nf_tables:
// Introduce NFT_TABLE_F_PERSIST".

/** Messages of the subsystem. */
export const NFT_MSG = {
  NFT_MSG_NEWTABLE: 0,
  NFT_MSG_GETTABLE: 1,
  NFT_MSG_DELTABLE: 2,
  NFT_MSG_NEWCHAIN: 3,
  NFT_MSG_GETCHAIN: 4,
  NFT_MSG_DELCHAIN: 5,
  NFT_MSG_NEWRULE: 6,
  NFT_MSG_GETRULE: 7,
  NFT_MSG_DELRULE: 8,
  NFT_MSG_NEWSET: 9,
  NFT_MSG_GETSET: 10,
  NFT_MSG_DELSET: 11,
  NFT_MSG_NEWSETELEM: 12,
  NFT_MSG_GETSETELEM: 13,
  NFT_MSG_DELSETELEM: 14,
  NFT_MSG_NEWGEN: 15,
  NFT_MSG_GETGEN: 16,
  NFT_MSG_NEWOBJ: 18,
  NFT_MSG_GETOBJ: 19,
  NFT_MSG_DELOBJ: 20,
} as const;

export const NFT_TABLE_F = {
  NFT_TABLE_F_DORMANT: 0x1,
  NFT_TABLE_F_OWNER: 0x2,
  NFT_TABLE_F_PERSIST: 0x4,
} as const;

export const NFTA_TABLE = {
  NFTA_TABLE_NAME: 1,
  NFTA_TABLE_FLAGS: 2,
  NFTA_TABLE_USERDATA: 6,
  NFTA_TABLE_OWNER: 7,
} as const;

export const NFTA_CHAIN = {
  NFTA_CHAIN_TABLE: 1,
  NFTA_CHAIN_NAME: 3,
  NFTA_CHAIN_HOOK: 4,
  NFTA_CHAIN_POLICY: 5,
  NFTA_CHAIN_TYPE: 7,
} as const;

export const NFTA_HOOK = { NFTA_HOOK_HOOKNUM: 1, NFTA_HOOK_PRIORITY: 2 } as const;

/** Hooks of the inet family (linux/netfilter.h). */
export const NF_INET_PRE_ROUTING = 0;

/** Verdicts (linux/netfilter.h; the negative ones nf_tables.h, enum nft_verdicts). */
export const VERDICT = { NF_DROP: 0, NF_ACCEPT: 1, NFT_GOTO: -4 } as const;

export const NFTA_RULE = {
  NFTA_RULE_TABLE: 1,
  NFTA_RULE_CHAIN: 2,
  NFTA_RULE_EXPRESSIONS: 4,
} as const;

export const NFTA_LIST_ELEM = 1;

export const NFTA_EXPR = { NFTA_EXPR_NAME: 1, NFTA_EXPR_DATA: 2 } as const;

export const NFTA_DATA = { NFTA_DATA_VALUE: 1, NFTA_DATA_VERDICT: 2 } as const;

export const NFTA_VERDICT = { NFTA_VERDICT_CODE: 1, NFTA_VERDICT_CHAIN: 2 } as const;

export const NFTA_SET = {
  NFTA_SET_TABLE: 1,
  NFTA_SET_NAME: 2,
  NFTA_SET_FLAGS: 3,
  NFTA_SET_KEY_TYPE: 4,
  NFTA_SET_KEY_LEN: 5,
  NFTA_SET_DESC: 9,
  NFTA_SET_ID: 10,
  NFTA_SET_TIMEOUT: 11,
  NFTA_SET_USERDATA: 13,
} as const;

export const NFT_SET_F = { NFT_SET_TIMEOUT: 0x10, NFT_SET_EVAL: 0x20 } as const;

export const NFTA_SET_DESC_SIZE = 1;

export const NFTA_SET_ELEM_LIST = {
  NFTA_SET_ELEM_LIST_TABLE: 1,
  NFTA_SET_ELEM_LIST_SET: 2,
  NFTA_SET_ELEM_LIST_ELEMENTS: 3,
} as const;

export const NFTA_SET_ELEM = {
  NFTA_SET_ELEM_KEY: 1,
  NFTA_SET_ELEM_TIMEOUT: 4,
  NFTA_SET_ELEM_EXPIRATION: 5,
} as const;

export const NFTA_OBJ = {
  NFTA_OBJ_TABLE: 1,
  NFTA_OBJ_NAME: 2,
  NFTA_OBJ_TYPE: 3,
  NFTA_OBJ_DATA: 4,
} as const;

/** Types of a stateful object: a rule names it, and it lives on without the rule. */
export const NFT_OBJECT = { NFT_OBJECT_COUNTER: 1 } as const;

/** Of the expression and of the object alike. */
export const NFTA_COUNTER = { NFTA_COUNTER_BYTES: 1, NFTA_COUNTER_PACKETS: 2 } as const;

/** Registers: the verdict, the first of 16 bytes, the first of 4 bytes over the same memory. */
export const NFT_REG = { NFT_REG_VERDICT: 0, NFT_REG_1: 1, NFT_REG32_00: 8 } as const;
