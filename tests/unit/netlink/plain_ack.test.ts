// isPlainAck() says at once what readMessages() and readAck() say of the same bytes.

import assert from "node:assert/strict";
import { Writer } from "../../../src/bytes/writer.ts";
import { NLMSG } from "../../../src/netlink/constants.ts";
import { isPlainAck, readAck, readMessages } from "../../../src/netlink/message.ts";

/** An answer as the kernel sends it, with the header of the request behind the errno. */
function answer(type: number, sequence: number, errno: number): Uint8Array<ArrayBuffer> {
  return new Writer().u32ne(36).u16ne(type).u16ne(0x100).u32ne(sequence).u32ne(4711)
    .u32ne(-errno >>> 0).u32ne(20).u16ne(2560).u16ne(1).u32ne(sequence).u32ne(0).bytes();
}

/** The same by way of everything that is in it. */
function slowly(bytes: Uint8Array, sequence: number): boolean {
  const [message, ...others] = readMessages(bytes);
  return message !== undefined && others.length === 0 && message.type === NLMSG.NLMSG_ERROR &&
    message.sequence === sequence && readAck(message).errno === 0;
}

Deno.test("isPlainAck() agrees with the whole reading of acks, errors and other answers", () => {
  const numbers = [1, 2, 0xffff_ffff];
  let plain = 0;
  for (const type of [NLMSG.NLMSG_ERROR, NLMSG.NLMSG_DONE, 2572]) {
    for (const own of numbers) {
      for (const errno of [0, 1, 17]) {
        const one = answer(type, own, errno);
        for (const bytes of [one, new Uint8Array([...one, ...answer(type, own, 0)])]) {
          for (const asked of numbers) {
            const told = isPlainAck(bytes, asked);
            assert.equal(told, slowly(bytes, asked));
            if (told) plain++;
          }
        }
      }
    }
  }
  assert.equal(plain, numbers.length);
});

Deno.test("isPlainAck() takes nothing cut short, and nothing whose length lies", () => {
  const whole = answer(NLMSG.NLMSG_ERROR, 7, 0);
  assert.equal(isPlainAck(whole, 7), true);
  for (let length = 0; length < whole.length; length++) {
    assert.equal(isPlainAck(whole.subarray(0, length), 7), false, `${length} bytes`);
  }
});
