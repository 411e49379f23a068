// KnockMachine.step() on stories in letters (tests/support/knock_story.ts): order, ports that occur
// twice, retransmissions, time, several sources and doors. Every story is told in several worlds.

import assert from "node:assert/strict";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { endpoint, plainDoor } from "../../support/configs.ts";
import { at, sequenceDoor } from "../../support/machines.ts";
import { KEY, newMachine, type Story, tell, worlds } from "../../support/knock_story.ts";
import { ipv4, syn } from "../../support/naive_machine.ts";

const orders: readonly Story[] = [
  {
    criterion: "opens when the right ports come in order",
    doors: "A B C D E F G H",
    told: "A B C D E F G H",
    led: "1 2 3 4 5 6 7 !",
  },
  {
    criterion: "opens with two ports",
    doors: "A B",
    told: "A B",
    led: "1 !",
  },
  {
    criterion: "opens with ten ports",
    doors: "A B C D E F G H I J",
    told: "A B C D E F G H I J",
    led: "1 2 3 4 5 6 7 8 9 !",
  },
  {
    criterion: "begins with nothing but the first port",
    doors: "A B C",
    told: "B C A C B A B C",
    led: ". . 1 . . 1 2 !",
  },
  {
    criterion: "starts over at a wrong watched port",
    doors: "A B C D",
    told: "A B D C D A B C D",
    led: "1 2 . . . 1 2 3 !",
  },
  {
    criterion: "starts over at a port that was skipped to",
    doors: "A B C D",
    told: "A C D B C D",
    led: "1 . . . . .",
  },
  {
    criterion: "starts over at an earlier port that comes anew",
    doors: "A B C D",
    told: "A B C B C D A B C D",
    led: "1 2 3 . . . 1 2 3 !",
  },
  {
    criterion: "takes a wrong port that is the door's first for stage 1",
    doors: "A B C D",
    told: "A B C A B C D",
    led: "1 2 3 1 2 3 !",
  },
  {
    criterion: "ignores a new knock at the stage just passed",
    doors: "A B C",
    told: "A A B B B C",
    led: "1 . 2 . . !",
  },
  {
    criterion: "ignores ports that are not watched",
    doors: "A B C",
    told: "Z A Z B Y Z C X",
    led: ". 1 . 2 . . ! .",
  },
  {
    criterion: "opens again when the whole sequence is repeated",
    doors: "A B C",
    told: "A B C A B C A B C",
    led: "1 2 ! 1 2 ! 1 2 !",
  },
  {
    criterion: "does not open again by the last knock alone",
    doors: "A B C",
    told: "A B C C C",
    led: "1 2 ! . .",
  },
];

const repeatedPorts: readonly Story[] = [
  {
    criterion: "takes a port twice in a row (A A B)",
    doors: "A A B",
    told: "A A B",
    led: "1 2 !",
  },
  {
    criterion: "needs both knocks of A A B",
    doors: "A A B",
    told: "A B A A B",
    led: "1 . 1 2 !",
  },
  {
    criterion: "tells a retransmission from the second knock of A A B",
    doors: "A A B",
    told: "A ~1 ~1 A ~1 ~2 B",
    led: "1 . . 2 . . !",
  },
  {
    criterion: "ignores a third new knock in A A B",
    doors: "A A B",
    told: "A A A B",
    led: "1 2 . !",
  },
  {
    criterion: "takes a port again later (A B A C)",
    doors: "A B A C",
    told: "A B A C",
    led: "1 2 3 !",
  },
  {
    criterion: "tells retransmissions from the third knock of A B A C",
    doors: "A B A C",
    told: "A B ~1 A ~1 ~2 ~3 C",
    led: "1 2 . 3 . . . !",
  },
  {
    criterion: "takes the last port for the first of the next sequence (A B A)",
    doors: "A B A",
    told: "A B A A B A ~3 ~1 ~2 ~3 ~4 ~5 ~6",
    led: "1 2 ! 1 2 ! . . . . . . .",
  },
  {
    criterion: "takes one port only (A A A)",
    doors: "A A A",
    told: "A ~1 A ~1 ~2 A ~3 ~2 ~1",
    led: "1 . 2 . . ! . . .",
  },
];

const retransmissions: readonly Story[] = [
  {
    criterion: "ignores the retransmission of every earlier knock at every stage",
    doors: "A B C D E",
    told: "A ~1 B ~1 ~2 C ~1 ~2 ~3 D ~3 ~1 ~4 ~2 E",
    led: "1 . 2 . . 3 . . . 4 . . . . !",
  },
  {
    criterion: "ignores retransmissions of knocks that were repeated at a stage",
    doors: "A B C D",
    told: "A A B B C ~1 ~2 ~3 ~4 ~5 D",
    led: "1 . 2 . 3 . . . . . !",
  },
  {
    criterion: "does not open again by retransmissions, in any order",
    doors: "A B C",
    told: "A B C ~3 ~1 ~2 ~1 ~2 ~3",
    led: "1 2 ! . . . . . .",
  },
  {
    criterion: "does not open again by retransmissions of two sequences",
    doors: "A B C",
    told: "A B C A B C ~1 ~2 ~3 ~4 ~5 ~6",
    led: "1 2 ! 1 2 ! . . . . . .",
  },
  {
    criterion: "does not open again by retransmissions of the second of three sequences",
    doors: "A B C",
    told: "A B C A B C A B C ~7 ~8 ~9 ~4 ~5 ~6",
    led: "1 2 ! 1 2 ! 1 2 ! . . . . . .",
  },
  {
    criterion: "does not open again by retransmissions of a sequence with repeated knocks",
    doors: "A B C",
    told: "A B C A A B B C ~4 ~5 ~6 ~7 ~8 ~5 ~7 ~8",
    led: "1 2 ! 1 . 2 . ! . . . . . . . .",
  },
  {
    criterion: "opens again among retransmissions of the last sequence",
    doors: "A B C",
    told: "A B C A ~1 ~3 B ~2 ~4 ~1 C ~3",
    led: "1 2 ! 1 . . 2 . . . ! .",
  },
  {
    criterion: "opens a fourth time among retransmissions of the two before",
    doors: "A B C",
    told: "A B C A B C A B C A ~6 ~9 B ~4 ~7 ~10 C",
    led: "1 2 ! 1 2 ! 1 2 ! 1 . . 2 . . . !",
  },
  {
    criterion: "ignores retransmissions of the sequence before after the attempt started over",
    doors: "A B C",
    told: "A B C A C ~1 A ~1 B ~2 ~3 C",
    led: "1 2 ! 1 . . 1 . 2 . . !",
  },
];

const times: readonly Story[] = [
  {
    criterion: "takes the last knock at the end of the time",
    doors: "A B C",
    told: "A +5000 B +5000 C",
    led: "1 2 !",
  },
  {
    criterion: "is back at the start a moment later",
    doors: "A B C",
    told: "A +5000 B +5000.01 C A B C",
    led: "1 2 . 1 2 !",
  },
  {
    criterion: "counts from the first knock, not from the latest",
    doors: "A B C D",
    told: "A +4000 B +4000 C +4000 D",
    led: "1 2 3 .",
  },
  {
    criterion: "counts anew from a new first knock at stage 1",
    doors: "A B C",
    told: "A +9000 A +9000 B +1000 C",
    led: "1 . 2 !",
  },
  {
    criterion: "does not count anew from a retransmission",
    doors: "A B C",
    told: "A +9000 ~1 +2000 B C",
    led: "1 . . .",
  },
  {
    criterion: "does not count anew from a knock repeated at a later stage",
    doors: "A B C",
    told: "A B +9000 B +2000 C",
    led: "1 2 . .",
  },
  {
    criterion: "takes a first knock that comes late for stage 1",
    doors: "A B C",
    told: "A B +10001 A B C",
    led: "1 2 1 2 !",
  },
  {
    criterion: "takes an expected knock that comes late for stage 1, if it is the first port",
    doors: "A B A C",
    told: "A B +10001 A B A C",
    led: "1 2 1 2 3 !",
  },
  {
    criterion: "takes packets of an attempt that is too late for new ones",
    doors: "A B C",
    told: "A B +10001 ~1 ~2 ~1 C",
    led: "1 2 1 2 . !",
  },
  {
    criterion: "knows packets of a completed sequence as long as a client may repeat them",
    doors: "A B C",
    told: "A B C +120000 ~1 ~2 ~3",
    led: "1 2 ! . . .",
  },
  {
    criterion: "opens again to the same packets afterwards, for clients that always send the same",
    doors: "A B C",
    told: "A B C +120001 ~1 ~2 ~3 ~1 ~2 ~3 +120001 ~1 ~2 ~3",
    led: "1 2 ! 1 2 ! . . . 1 2 !",
  },
  {
    criterion: "opens again hours later",
    doors: "A B C",
    told: "A B C +10000000 A B C",
    led: "1 2 ! 1 2 !",
  },
];

const others: readonly Story[] = [
  {
    criterion: "keeps sources apart",
    doors: "A B C",
    told: "A@1 A@2 B@1 C@2 B@3 C@1 B@2 C@2 A@2 B@2 C@3 C@2",
    led: "1 1 2 . . ! . . 1 2 . !",
  },
  {
    criterion: "does not put together one sequence from several sources",
    doors: "A B C",
    told: "A@1 B@2 C@3 A@3 B@1 C@2",
    led: "1 . . 1 2 .",
  },
  {
    criterion: "keeps sources apart that send the same source port and sequence number",
    doors: "A B",
    told: "A@1 ~1@2 B@1 ~2@2",
    led: "1 1 ! !",
  },
  {
    criterion: "keeps doors on other ports apart",
    doors: "A B C | D E F",
    told: "A D B E F C",
    led: "0:1 1:1 0:2 1:2 1:! 0:!",
  },
  {
    criterion: "lets one knock count at every door that begins with it",
    doors: "A B C | A B D",
    told: "A B ~1 C D A B D",
    led: "0:1+1:1 0:2+1:2 . 0:! 1:! 0:1+1:1 0:2+1:2 1:!",
  },
  {
    criterion: "starts over only at the door whose ports were left",
    doors: "A B C | A C B",
    told: "A B C B A C B",
    led: "0:1+1:1 0:2 0:! . 0:1+1:1 1:2 1:!",
  },
  {
    criterion: "opens two doors by the same packet",
    doors: "A B | C A B",
    told: "C A B",
    led: "1:1 0:1+1:2 0:!+1:!",
  },
  {
    criterion: "knows retransmissions at each door by itself",
    doors: "A B C | B C A",
    told: "A B C ~1 ~2 ~3 A ~1",
    led: "0:1 0:2+1:1 0:!+1:2 1:! . . 0:1 .",
  },
];

for (const story of [...orders, ...repeatedPorts, ...retransmissions, ...times, ...others]) {
  Deno.test(`step() ${story.criterion}`, () => {
    for (const world of worlds) {
      assert.equal(`${world.name}: ${tell(story, world)}`, `${world.name}: ${story.led}`);
    }
  });
}

Deno.test("step() takes the packets of a client that holds its sockets open on a silent host", () => {
  // Linux repeats a SYN after 1, 3, 7 and 15 s; eight knocks 0.7 s apart, the sequence twice.
  const sent = Array.from(
    { length: 16 },
    (_, knock) =>
      [0, 1000, 3000, 7000, 15_000].map((delay) => ({ knock, ms: knock * 700 + delay })),
  )
    .flat().sort((a, b) => a.ms - b.ms);
  const machine = newMachine(["ABCDEFGH"]);
  const opened = sent.filter(({ knock, ms }) => {
    const packet = syn({ destinationPort: 80 + knock % 8, sourcePort: 40000 + knock });
    return machine.step(packet, at(ms)) === 1 && machine.effect(0).stage === 8;
  });
  assert.deepEqual(opened, [{ knock: 7, ms: 4900 }, { knock: 15, ms: 10_500 }]);
});

Deno.test("step() takes SYN and nothing that has FIN, RST or ACK; other flags do not matter", () => {
  for (let flags = 0; flags <= 0xff; flags++) {
    const machine = newMachine(["AB"]);
    machine.step(syn({ destinationPort: 80 }), at(0));
    const knocks = (flags & 2) !== 0 && (flags & 1) === 0 && (flags & 4) === 0 &&
      (flags & 16) === 0;
    const effects = machine.step(syn({ destinationPort: 81, flags }), at(0));
    assert.equal(effects, knocks ? 1 : 0, `flags ${flags}`);
    assert.equal(machine.attemptsAt(1), knocks ? 0 : 1, `flags ${flags}`);
  }
});

Deno.test("step() is not set back by a wrong port that is no SYN", () => {
  const machine = newMachine(["ABC"]);
  machine.step(syn({ destinationPort: 80 }), at(0));
  assert.equal(machine.step(syn({ destinationPort: 82, flags: 0x12 }), at(0)), 0);
  assert.equal(machine.step(syn({ destinationPort: 81 }), at(0)), 1);
});

Deno.test("step() tells packets apart by every bit of source port and sequence number", () => {
  const first = syn({ destinationPort: 80, sourcePort: 0x5555, sequence: 0x55555555 });
  const bits = Array.from({ length: 32 }, (_, bit) => 2 ** bit);
  const others = [
    ...bits.map((bit) => ({ ...first, sequence: (first.sequence ^ bit) >>> 0 })),
    ...bits.slice(0, 16).map((bit) => ({ ...first, sourcePort: first.sourcePort ^ bit })),
  ];
  for (const other of others) {
    const machine = newMachine(["AAB"]);
    const steps = [first, first, other, first, other].map((packet) => machine.step(packet, at(0)));
    assert.deepEqual(steps, [1, 0, 1, 0, 0], JSON.stringify(other));
  }
});

Deno.test("step() takes no packet for the retransmission of one of another protocol", () => {
  const machine = new KnockMachine({
    doors: [plainDoor({ steps: ["udp/443", "udp/443", "tcp/443"] })],
    sourcesMax: 64,
    perPrefixMax: 16,
    key: KEY,
  });
  const udp = { ...syn({ destinationPort: 443, sequence: 0 }), protocol: 17, flags: 0 };
  const tcp = syn({ destinationPort: 443, sequence: 0 });
  // Back to the start by tcp/443, which has the ports and the number of the datagram before.
  const stages = [udp, tcp, udp, udp, tcp].map((packet) =>
    machine.step(packet, at(0)) === 0 ? 0 : machine.effect(0).stage
  );
  assert.deepEqual(stages, [1, 0, 1, 2, 3]);
});

Deno.test("step() keeps each door's own time", () => {
  const machine = new KnockMachine({
    doors: [sequenceDoor([80, 81], 100), sequenceDoor([80, 81], 1000)],
    sourcesMax: 64,
    perPrefixMax: 16,
    key: KEY,
  });
  assert.equal(machine.step(syn({ destinationPort: 80 }), at(0)), 2);
  assert.equal(machine.step(syn({ destinationPort: 81 }), at(500)), 1);
  const { door, stage, of } = machine.effect(0);
  assert.deepEqual({ door, stage, of }, { door: 1, stage: 2, of: 2 });
});

Deno.test("step() on a decoy takes its source back to the start at every door, and no other", () => {
  const machine = new KnockMachine({
    doors: [[80, 81, 82], [81, 83, 84]].map((sequence) => sequenceDoor(sequence, 1000)),
    decoys: [endpoint("tcp/90")],
    sourcesMax: 64,
    perPrefixMax: 16,
    key: KEY,
  });
  const knock = (destinationPort: number, source = 1) =>
    machine.step({ ...syn({ destinationPort }), ...ipv4(0x0a000000 + source) }, at(0));
  for (const source of [1, 2]) {
    knock(80, source);
    knock(81, source);
  }
  assert.equal(machine.isDecoy(syn({ destinationPort: 90 })), true);
  assert.equal(machine.isDecoy(syn({ destinationPort: 80 })), false);
  assert.equal(knock(90), 0);
  assert.deepEqual([1, 2].map((source) => knock(82, source)), [0, 1]);
  assert.deepEqual([1, 2].map((source) => knock(83, source)), [0, 1]);
});

Deno.test("a machine with shorter sequences takes over what was opened, so repetitions open nothing", () => {
  const [short, long] = [[80, 81, 82], [90, 91, 92, 93, 94]].map((one) => sequenceDoor(one));
  const limits = { sourcesMax: 64, perPrefixMax: 16, key: KEY };
  const all = new KnockMachine({ ...limits, doors: [short, long].filter((door) => !!door) });
  const opened = (machine: KnockMachine) =>
    [80, 81, 82].map((destinationPort, sequence) =>
      machine.step(syn({ destinationPort, sequence }), at(sequence)) > 0 &&
      machine.effect(0).stage === 3
    ).some((last) => last);
  assert.equal(opened(all), true);
  assert.equal(opened(all), false, "the same SYNs");
  const fewer = new KnockMachine({ ...limits, doors: short ? [short] : [], previous: all });
  assert.equal(opened(fewer), false, "the same SYNs after a reload");
});
