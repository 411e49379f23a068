// libnetfilter_queue: encodes the configuration of a queue and the verdicts. What comes from a queue
// is decoded in src/nfqueue, since the library would need a C callback for each packet.

import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { NLM_F } from "../src/netlink/constants.ts";
import { NFQA_CFG, NFQNL_CFG_CMD, NFQNL_MSG } from "../src/nfqueue/constants.ts";
import { once, openLibrary } from "./library.ts";

const SYMBOLS = {
  /** `struct nlmsghdr *nfq_nlmsg_put(char *buf, int type, uint32_t queue_num)` */
  nfq_nlmsg_put: { parameters: ["buffer", "i32", "u32"], result: "pointer" },
  /** `void nfq_nlmsg_cfg_put_cmd(struct nlmsghdr *nlh, uint16_t pf, uint8_t cmd)` */
  nfq_nlmsg_cfg_put_cmd: { parameters: ["buffer", "u16", "u8"], result: "void" },
  /** `void nfq_nlmsg_cfg_put_params(struct nlmsghdr *nlh, uint8_t mode, int range)` */
  nfq_nlmsg_cfg_put_params: { parameters: ["buffer", "u8", "i32"], result: "void" },
  /** `void nfq_nlmsg_cfg_put_qmaxlen(struct nlmsghdr *nlh, uint32_t queue_maxlen)` */
  nfq_nlmsg_cfg_put_qmaxlen: { parameters: ["buffer", "u32"], result: "void" },
  /** `void nfq_nlmsg_verdict_put(struct nlmsghdr *nlh, int id, int verdict)` */
  nfq_nlmsg_verdict_put: { parameters: ["buffer", "i32", "i32"], result: "void" },
  /** `void nfq_nlmsg_verdict_put_mark(struct nlmsghdr *nlh, uint32_t mark)` */
  nfq_nlmsg_verdict_put_mark: { parameters: ["buffer", "u32"], result: "void" },
  /** `void mnl_attr_put_u32(struct nlmsghdr *nlh, uint16_t type, uint32_t data)`, through libmnl */
  mnl_attr_put_u32: { parameters: ["buffer", "u16", "u32"], result: "void" },
} as const;

/** Opens the library; the first thing to fail on a host without it. */
export const libnetfilterQueue = once(() =>
  openLibrary(
    "libnetfilter_queue.so.1",
    SYMBOLS,
    "apt install libnetfilter-queue1 (Debian, Ubuntu), dnf install libnetfilter_queue (Fedora), " +
      "pacman -S libnetfilter_queue (Arch)",
  ).symbols
);

const MESSAGE_BYTES = 256;
const NF_ACCEPT = 1;
/**
 * Where the id stands in a verdict: after nlmsghdr (16 bytes), nfgenmsg (4), nlattr (4) and the verdict
 * (be32) of nfqnl_msg_verdict_hdr.
 */
const VERDICT_ID = 28;

export interface QueueConfig {
  /** How much of a packet comes along: NFQNL_COPY_*, and the bytes at most. */
  readonly copyMode: number;
  readonly copyRange: number;
  /** Packets that may wait. */
  readonly maxLength: number;
  /** NFQA_CFG_F_*. */
  readonly flags: number;
}

/**
 * Binds the queue and configures it with one message: a packet that met a queue bound but not yet
 * configured would be dropped.
 */
export function encodeQueueBind(
  queueNumber: number,
  { copyMode, copyRange, maxLength, flags }: QueueConfig,
): Uint8Array<ArrayBuffer> {
  const lib = libnetfilterQueue();
  return configMessage(queueNumber, (message) => {
    lib.nfq_nlmsg_cfg_put_cmd(message, 0, NFQNL_CFG_CMD.NFQNL_CFG_CMD_BIND);
    lib.nfq_nlmsg_cfg_put_params(message, copyMode, copyRange);
    lib.nfq_nlmsg_cfg_put_qmaxlen(message, maxLength);
    lib.mnl_attr_put_u32(message, NFQA_CFG.NFQA_CFG_FLAGS, htonl(flags));
    lib.mnl_attr_put_u32(message, NFQA_CFG.NFQA_CFG_MASK, htonl(flags));
  });
}

/** An encoder of batch verdicts: accepts every packet up to an id. The bytes are reused. */
export function acceptEncoder(queueNumber: number): (lastId: number) => Uint8Array<ArrayBuffer> {
  const lib = libnetfilterQueue();
  const message = new Uint8Array(MESSAGE_BYTES);
  lib.nfq_nlmsg_put(message, NFQNL_MSG.NFQNL_MSG_VERDICT_BATCH, queueNumber);
  lib.nfq_nlmsg_verdict_put(message, 0, NF_ACCEPT);
  return encoderOf(message);
}

/** An encoder of verdicts: accepts one packet, with this mark. The bytes are reused. */
export function acceptMarkedEncoder(
  queueNumber: number,
  mark: number,
): (id: number) => Uint8Array<ArrayBuffer> {
  const lib = libnetfilterQueue();
  const message = new Uint8Array(MESSAGE_BYTES);
  lib.nfq_nlmsg_put(message, NFQNL_MSG.NFQNL_MSG_VERDICT, queueNumber);
  lib.nfq_nlmsg_verdict_put(message, 0, NF_ACCEPT);
  lib.nfq_nlmsg_verdict_put_mark(message, mark);
  return encoderOf(message);
}

/** Only the packet's id is written anew: somebody waits for it. */
function encoderOf(message: Uint8Array<ArrayBuffer>): (id: number) => Uint8Array<ArrayBuffer> {
  const encoded = message.subarray(0, length(message));
  const view = new DataView(message.buffer);
  return (id) => {
    view.setUint32(VERDICT_ID, id);
    return encoded;
  };
}

function configMessage(
  queueNumber: number,
  put: (message: Uint8Array<ArrayBuffer>) => void,
): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(MESSAGE_BYTES);
  libnetfilterQueue().nfq_nlmsg_put(message, NFQNL_MSG.NFQNL_MSG_CONFIG, queueNumber);
  put(message);
  const view = new DataView(message.buffer);
  view.setUint16(6, NLM_F.NLM_F_REQUEST | NLM_F.NLM_F_ACK, LITTLE_ENDIAN);
  return message.subarray(0, length(message));
}

/** nlmsg_len, the first field. */
function length(message: Uint8Array<ArrayBuffer>): number {
  return new DataView(message.buffer).getUint32(0, LITTLE_ENDIAN);
}

function htonl(value: number): number {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, value);
  return bytes.getUint32(0, LITTLE_ENDIAN);
}
