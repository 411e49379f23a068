// decodeQueueStatus(): a line captured from the kernel, columns at their widest, and other text.

import assert from "node:assert/strict";
import { NFQNL_COPY } from "../../../src/nfqueue/constants.ts";
import { decodeQueueStatus } from "../../../src/nfqueue/queue_status.ts";

Deno.test("decodeQueueStatus() reads golden/nfqueue/status.txt", () => {
  // Queue 4660 of a listener with port 23175: 9 packets came, one waits, 256 bytes of each are copied.
  const file = new URL("../../golden/nfqueue/status.txt", import.meta.url);
  assert.deepEqual(decodeQueueStatus(Deno.readTextFileSync(file)), [{
    queueNumber: 4660,
    peerPortId: 23175,
    waiting: 1,
    copyMode: NFQNL_COPY.NFQNL_COPY_PACKET,
    copyRange: 256,
    queueDropped: 0,
    userDropped: 0,
    idSequence: 9,
  }]);
});

Deno.test("decodeQueueStatus() tells the columns apart, also where they fill their width", () => {
  const text = "    0      1     2 1     4     5     6        7  1\n" +
    "65535 4294967295 4294967295 2 65531 4294967294 4294967293 4294967292  1\n";
  assert.deepEqual(decodeQueueStatus(text).map(Object.values), [
    [0, 1, 2, 1, 4, 5, 6, 7],
    [65535, 4294967295, 4294967295, 2, 65531, 4294967294, 4294967293, 4294967292],
  ]);
});

Deno.test("decodeQueueStatus() ignores columns that a later kernel may add", () => {
  assert.equal(decodeQueueStatus("1 2 3 2 5 6 7 8 1 99 x\n")[0]?.idSequence, 8);
});

Deno.test("decodeQueueStatus() reads a last line without line end", () => {
  assert.equal(decodeQueueStatus("1 2 3 2 5 6 7 8").length, 1);
});

for (
  const text of [
    "",
    "\n",
    "1 2 3 4 5 6 7\n",
    "queue portid\n",
    "1 2 3 2 5 6 7 -8 1\n",
    "1 2 3 2 5 6 7 8x 1\n",
  ]
) {
  Deno.test(`decodeQueueStatus() finds no queue in ${JSON.stringify(text)}`, () => {
    assert.deepEqual(decodeQueueStatus(text), []);
  });
}
