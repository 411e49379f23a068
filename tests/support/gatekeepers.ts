// A gatekeeper over two lists of batches, with the order of everything it did: what is held and what is
// copied are netlink messages as the kernel makes them, grants go to a kernel that is a function.

import assert from "node:assert/strict";
import { Writer } from "../../src/bytes/writer.ts";
import type { Config } from "../../src/config/config.ts";
import type { Admission } from "../../src/daemon/admission.ts";
import { createGatekeeper } from "../../src/daemon/gatekeeper.ts";
import type { Fields, Log } from "../../src/daemon/log.ts";
import { REFUSED_PREFIX, TABLE_COMMENT } from "../../src/firewall/ruleset.ts";
import { KnockMachine } from "../../src/knock/machine.ts";
import {
  ATTEMPTS_PER_PREFIX_MAX,
  BATCH_PACKETS,
  HELD_MESSAGE_BYTES,
  LOG_MESSAGE_BYTES,
} from "../../src/limits.ts";
import { type Attribute, raw, text, u32be, writeAttributes } from "../../src/netlink/attribute.ts";
import { NFNL_SUBSYS } from "../../src/netlink/constants.ts";
import { type Conversation, openConversation } from "../../src/netlink/conversation.ts";
import { NFULA } from "../../src/nflog/constants.ts";
import { NFQA } from "../../src/nfqueue/constants.ts";
import { socketTo } from "./fake_kernel.ts";
import { fakeNftables } from "./fake_nftables.ts";
import { type Bytes, echo, IPPROTO, ipv4, ipv6, tcp, udp } from "./packets.ts";

export interface Behaviour {
  /** Of the kernel, asked to write grants. */
  readonly submit?: () => void;
  /** Of the kernel, asked what became of them. */
  readonly settle?: () => void;
  /** Of the queue, given a verdict. */
  readonly accept?: (lastId: number) => void;
  readonly acceptMarked?: (id: number) => void;
  /** What is noted before a grant; where it is not given, everything is new. */
  readonly admit?: Admission;
  readonly clock?: () => number;
}

/** Takes every sequence for new. */
export const admitAll: Admission = (openings) => openings.map(() => undefined);

/** The machine of a configuration whose doors need no cryptography. */
export function machineOf(
  { doors, decoys, sourcesMax }: Config,
  previous?: KnockMachine,
): KnockMachine {
  return new KnockMachine({
    doors,
    decoys,
    sourcesMax,
    perPrefixMax: ATTEMPTS_PER_PREFIX_MAX,
    key: [1, 2],
    ...(previous === undefined ? {} : { previous }),
  });
}

export function setGatekeeper(
  config: Config,
  { submit, settle, accept, acceptMarked, admit = admitAll, clock = () => 0 }: Behaviour = {},
  machine = machineOf(config),
) {
  const done: string[] = [];
  const logged: { level: string; event: string; fields: Fields }[] = [];
  const held: Bytes[][] = [];
  const copies: Bytes[][] = [];
  const counted = { refused: 0 };
  const nftables = fakeNftables({
    table: { name: "pk", flags: 0, comment: TABLE_COMMENT },
    sets: [],
    elements: {},
    get counters() {
      return [{ name: "refused", packets: counted.refused, bytes: 0 }];
    },
  });
  const { ask } = openConversation(socketTo(nftables.kernel));
  const kernel: Conversation = {
    transact: () => assert.fail("grants are submitted"),
    submit(batch) {
      done.push(`transaction of ${batch.count}`);
      batch.encode(1);
      submit?.();
      return {
        settle() {
          done.push("ack");
          settle?.();
        },
      };
    },
    ask(request) {
      done.push("ask");
      return ask(request);
    },
  };
  const log: Log = (level, event, fields = {}) => {
    done.push(event);
    logged.push({ level, event, fields });
  };
  const gatekeeper = createGatekeeper({
    config,
    kernel,
    machine,
    admit(openings) {
      done.push(`admit ${openings.length}`);
      return admit(openings);
    },
    clock,
    queue: {
      ...batchOf(held, HELD_MESSAGE_BYTES, (count) => done.push(`held ${count}`)),
      accept(lastId) {
        done.push(`accept ${lastId}`);
        accept?.(lastId);
      },
      acceptMarked(id) {
        done.push(`let in ${id}`);
        acceptMarked?.(id);
      },
    },
    copies: batchOf(copies, LOG_MESSAGE_BYTES, (count) => done.push(`copies ${count}`)),
    log,
  });
  let sequence = 0;
  return {
    gatekeeper,
    held,
    copies,
    done,
    logged,
    counted,
    /** A copy of each packet, numbered on from the one before. */
    copy: (...packets: readonly Bytes[]) => packets.map((packet) => copied(sequence++, packet)),
    refuse: (...packets: readonly Bytes[]) =>
      packets.map((packet) => copied(sequence++, packet, REFUSED_PREFIX)),
    /**
     * What was done since the last call, without what the kernel was asked; reads that found nothing held
     * are one.
     */
    takeDone: () =>
      done.splice(0).filter((what) => what !== "ask").filter((what, index, all) =>
        what !== "held 0" || all[index - 1] !== what
      ),
    events: (event: string) =>
      logged.filter((line) => line.event === event).map(({ fields }) => fields),
  };
}

/** A batch that receives one list of messages after the other, each as many as it takes. */
export function batchOf(
  batches: Bytes[][],
  messageBytes: number,
  onReceive: (count: number) => void = () => {},
) {
  const memory = new Uint8Array(BATCH_PACKETS * messageBytes);
  let lengths: number[] = [];
  return {
    view: new DataView(memory.buffer),
    capacity: 1,
    messageBytes,
    receive() {
      const batch = batches.shift() ?? [];
      batch.forEach((message, index) =>
        memory.set(message.subarray(0, messageBytes), index * messageBytes)
      );
      lengths = batch.map((message) => message.length);
      onReceive(batch.length);
      return batch.length;
    },
    messageLength: (index: number) => lengths[index] ?? 0,
  };
}

/** One packet as the kernel holds it; nothing of itself comes along where it is not given. */
export function queued(id: number, packet?: Bytes, mark = 0): Bytes {
  const header = new Writer().u32be(id).u16be(0x0800).u8(0).bytes();
  return message(NFNL_SUBSYS.NFNL_SUBSYS_QUEUE, [
    raw(NFQA.NFQA_PACKET_HDR, header),
    ...(mark === 0 ? [] : [u32be(NFQA.NFQA_MARK, mark)]),
    ...(packet === undefined ? [] : [raw(NFQA.NFQA_PAYLOAD, packet)]),
  ]);
}

/** One packet as the kernel copies it. */
export function copied(sequence: number, packet: Bytes, prefix = ""): Bytes {
  return message(NFNL_SUBSYS.NFNL_SUBSYS_ULOG, [
    text(NFULA.NFULA_PREFIX, prefix),
    u32be(NFULA.NFULA_SEQ, sequence),
    raw(NFULA.NFULA_PAYLOAD, packet),
  ]);
}

/** Message 0 of the subsystem, which is a packet in both. */
function message(subsystem: number, attributes: readonly Attribute[]): Bytes {
  const writer = new Writer().u32ne(0).u16ne(subsystem << 8).u16ne(0).u32ne(0).u32ne(0);
  writer.u8(2).u8(0).u16be(7);
  writeAttributes(writer, attributes);
  return writer.patchU32ne(0, writer.length).bytes();
}

let sent = 0;

/** Sends unless a test says otherwise. */
export const SOURCE_TEXT = "198.51.100.7";
export const SOURCE = { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc6336407 } as const;

/** A new SYN, unlike all others. */
export function syn(destinationPort: number, source = SOURCE_TEXT): Bytes {
  const payload = tcp({ destinationPort, sequence: sent++ });
  return source.includes(":") ? ipv6({ source, payload }) : ipv4({ source, payload });
}

export function datagram(destinationPort: number, source = SOURCE_TEXT): Bytes {
  const fields = { source, protocol: IPPROTO.UDP, payload: udp({ destinationPort }) };
  return source.includes(":") ? ipv6(fields) : ipv4(fields);
}

/** An echo request with so many bytes. */
export function ping(bytes: number, source = SOURCE_TEXT): Bytes {
  const data = new Uint8Array(bytes);
  return source.includes(":")
    ? ipv6({ source, protocol: IPPROTO.ICMPV6, payload: echo({ type: 128, data }) })
    : ipv4({ source, protocol: IPPROTO.ICMP, payload: echo({ data }) });
}
