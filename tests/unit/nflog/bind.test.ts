// bindGroup(): every byte of the request, and what the kernel's captured answers to it become.

import assert from "node:assert/strict";
import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { KernelError } from "../../../src/errors.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { encodeRequest } from "../../../src/netlink/message.ts";
import { bindGroup } from "../../../src/nflog/bind.ts";
import { concat } from "../../support/packets.ts";
import { messagesOf, socketTo } from "../../support/fake_kernel.ts";

const SEQUENCE_OFFSET = 8;

Deno.test({
  name: "bindGroup() lays out its message as linux/netfilter/nfnetlink_log.h says",
  ignore: !LITTLE_ENDIAN,
  fn() {
    const message = [
      "40000000 0104 0100 2a000000 00000000", // 56 bytes, NFULNL_MSG_CONFIG, NLM_F_REQUEST, number 42
      "00 00 1234", // AF_UNSPEC, version 0, res_id is the group
      "0500 0100 01 000000", // NFULA_CFG_CMD: bind, and padding
      "0a00 0200 00000400 02 00 0000", // NFULA_CFG_MODE: 1024 bytes, NFULNL_COPY_PACKET, pad; padding
      "0800 0300 00000200", // NFULA_CFG_NLBUFSIZ: 512 bytes
      "0800 0500 00000001", // NFULA_CFG_QTHRESH: each packet at once
      "0600 0600 0001 0000", // NFULA_CFG_FLAGS: NFULNL_CFG_F_SEQ, and padding
    ];
    const expected = message.join("").replaceAll(" ", "");
    assert.equal(hex(encodeRequest(bindGroup(0x1234, 1024), 42)), expected);
  },
});

Deno.test("bindGroup() names the group and the bytes that are copied, up to the highest", () => {
  for (const [group, copyRange] of [[0, 0], [1, 1], [256, 256], [65_535, 0xffff_ffff]] as const) {
    const request = bindGroup(group, copyRange);
    assert.equal(request.what, `bind log group ${group}`);
    const bytes = encodeRequest(request, 1);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    assert.deepEqual([view.getUint16(18), view.getUint32(32)], [group, copyRange]);
  }
});

answered("ack", "takes the kernel's ack for done", (bind) => bind());

// EBUSY would be for the socket that has the group itself: the kernel asks who has it first.
answered("refusal", "is refused with EPERM where another socket has the group", (bind) => {
  assert.throws(bind, (error) => {
    assert.ok(error instanceof KernelError);
    assert.deepEqual([error.operation, error.code], ["bind log group 4660", "EPERM"]);
    return true;
  });
});

/** Binds the group of the golden files, and gets the answer that was captured. */
function answered(file: string, what: string, test: (bind: () => void) => void): void {
  Deno.test({
    name: `bindGroup() ${what}: golden/nflog/${file}.txt`,
    ignore: !LITTLE_ENDIAN,
    fn() {
      const url = new URL(`../../golden/nflog/${file}.txt`, import.meta.url);
      const answer = unhex(Deno.readTextFileSync(url).replace(/^#.*$/gm, ""));
      const kernel = openConversation(socketTo((request) => {
        // Answered under the number that was asked with.
        const number = new Writer().u32ne(messagesOf(request)[0].sequence).bytes();
        const rest = answer.subarray(SEQUENCE_OFFSET + 4);
        return [concat(answer.subarray(0, SEQUENCE_OFFSET), number, rest)];
      }));
      test(() => kernel.ask(bindGroup(4660, 1024)));
    },
  });
}
