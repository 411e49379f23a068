// queue: hands the packet to a program in user space (CONFIG_NFT_QUEUE), in one of two forms: the
// expression of nf_tables, and xtables' NFQUEUE target for kernels without it (CONFIG_NFT_COMPAT,
// CONFIG_NETFILTER_XT_TARGET_NFQUEUE). Both with bypass: nobody listening means the packet goes on.

import { LITTLE_ENDIAN } from "../../bytes/endian.ts";
import { raw, text, u32be } from "../../netlink/attribute.ts";
import { type Expression, u16be } from "./expression.ts";

const NFTA_QUEUE = { NFTA_QUEUE_NUM: 1, NFTA_QUEUE_TOTAL: 2, NFTA_QUEUE_FLAGS: 3 } as const;
const NFT_QUEUE_FLAG_BYPASS = 1;

const NFTA_TARGET = { NFTA_TARGET_NAME: 1, NFTA_TARGET_REV: 2, NFTA_TARGET_INFO: 3 } as const;
const NFQUEUE_REVISION = 3;
const NFQ_FLAG_BYPASS = 1;

/** `[ queue num 7 bypass ]` */
export function queue(queueNumber: number): Expression {
  return {
    name: "queue",
    attributes: [
      u16be(NFTA_QUEUE.NFTA_QUEUE_NUM, queueNumber),
      u16be(NFTA_QUEUE.NFTA_QUEUE_TOTAL, 1),
      u16be(NFTA_QUEUE.NFTA_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS),
    ],
  };
}

/**
 * `[ target name NFQUEUE rev 3 ]` with struct xt_NFQ_info_v3 (linux/netfilter/xt_NFQUEUE.h) in the
 * machine's byte order, padded to 8 bytes:
 *
 *      0       2       4       6       8
 *     +-------+-------+-------+-------+
 *     | queue | total | flags | pad   |
 *     +-------+-------+-------+-------+
 */
export function queueTarget(queueNumber: number): Expression {
  const info = new Uint8Array(8);
  const view = new DataView(info.buffer);
  view.setUint16(0, queueNumber, LITTLE_ENDIAN);
  view.setUint16(2, 1, LITTLE_ENDIAN);
  view.setUint16(4, NFQ_FLAG_BYPASS, LITTLE_ENDIAN);
  return {
    name: "target",
    attributes: [
      text(NFTA_TARGET.NFTA_TARGET_NAME, "NFQUEUE"),
      u32be(NFTA_TARGET.NFTA_TARGET_REV, NFQUEUE_REVISION),
      raw(NFTA_TARGET.NFTA_TARGET_INFO, info),
    ],
  };
}
