// What connection tracking tells of a flow: its ends as the attributes say them, none, or DecodeError.

import { forgetFlow, parseFlow } from "../../../src/netlink/conntrack.ts";
import { encodeRequest } from "../../../src/netlink/message.ts";
import { addressBytes } from "../../../src/packet/address.ts";
import { type Bytes, readCorpus } from "../corpus.ts";
import { fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import { byteMutators } from "../mutate_bytes.ts";
import { netlinkMutators } from "../mutate_netlink.ts";
import { expect, VALUE_OUTCOMES, valueJudge } from "../oracle.ts";
import { lastOf, type SlowAttribute, slowAttributes, uintBe } from "../slow_netlink.ts";

const NFGENMSG_BYTES = 4;
const UDP = 17;

export const flow: Target = {
  name: "flow",
  capacity: 1_024,
  share: 3,
  seeds: () => readCorpus("conntrack"),
  mutators: [
    ...netlinkMutators(NFGENMSG_BYTES),
    ...netlinkMutators(NFGENMSG_BYTES),
    ...byteMutators,
  ],
  outcomes: VALUE_OUTCOMES,
  newJudge: () =>
    valueJudge(flowOf, (found, bytes) => {
      const whole = slowAttributes(bytes.subarray(NFGENMSG_BYTES)) ?? [];
      const [original, answer] = [1, 2].map((type) => inside(whole, type));
      const protocols = [original, answer].map((tuple = []) => lastOf(inside(tuple, 2), 1)?.[0]);
      if (found === undefined) return fold(protocols[0] ?? -1, protocols[1] ?? -1);
      expect(protocols.every((number) => number === UDP), () => `protocols ${protocols}`);
      const ends = [[found.from, original, 1], [found.to, original, 2], [
        found.answered,
        answer,
        2,
      ]];
      for (const [end, tuple, side] of ends as [typeof found.from, SlowAttribute[], number][]) {
        const port = uintBe((lastOf(inside(tuple, 2), side + 1) ?? bytes).subarray(0, 2));
        expect(end.port === port, () => `port ${end.port} for ${port}`);
        const addresses = inside(tuple, 1);
        const said = lastOf(addresses, side) ?? lastOf(addresses, side + 2);
        const read = addressBytes(end.address);
        const same = said !== undefined && read.every((byte, at) => byte === said[at]);
        expect(same, () => `address ${read} for ${said}`);
      }
      encodeRequest(forgetFlow(found), 1);
      return fold(found.from.address.family, found.name.length);
    }),
};

function flowOf(payload: Bytes) {
  return parseFlow({ type: 1 << 8, flags: 2, sequence: 1, port: 0, payload });
}

/** The attributes nested in the last one of a type. */
function inside(attributes: readonly SlowAttribute[], type: number): SlowAttribute[] {
  return slowAttributes(lastOf(attributes, type) ?? new Uint8Array()) ?? [];
}
