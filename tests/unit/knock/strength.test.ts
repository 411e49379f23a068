// strengthOf(): its arithmetic against the machine itself, which is scanned in every order there is.

import assert from "node:assert/strict";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { strengthOf } from "../../../src/knock/strength.ts";
import { endpoint } from "../../support/configs.ts";
import { at, sequenceDoor } from "../../support/machines.ts";
import { KEY } from "../../support/knock_story.ts";
import { ipv4, syn } from "../../support/naive_machine.ts";

Deno.test("strengthOf() scans: as many of all orders open the machine as it says", () => {
  for (
    const [knocks, decoys] of [[2, 0], [3, 0], [4, 0], [2, 1], [2, 3], [3, 2], [4, 2]] as const
  ) {
    const sequence = Array.from({ length: knocks }, (_, index) => 7000 + index);
    const traps = Array.from({ length: decoys }, (_, index) => 9000 + index);
    let scans = 0;
    let opened = 0;
    for (const order of permutations([...sequence, ...traps])) {
      scans++;
      if (opens(sequence, traps, order)) opened++;
    }
    assert.equal(strengthOf(sequence, traps).scans, scans / opened, `${knocks} and ${decoys}`);
  }
});

Deno.test("strengthOf() scans: none opens a sequence with a port that occurs twice", () => {
  assert.equal(strengthOf([7391, 2044, 7391, 4467], []).scans, Infinity);
  for (const order of permutations([1, 2, 3])) assert.equal(opens([1, 2, 1, 3], [], order), false);
});

Deno.test("strengthOf() knows which orders open to scans in turn, as the machine does", () => {
  const ports = [10, 20, 30, 40, 50];
  for (const sequence of permutations([10, 30, 50, 70])) {
    for (const decoys of [[], [20], [60], [5], [80], [5, 80], [40, 80]]) {
      const all = [...ports, 5, 20, 40, 60, 70, 80];
      const rising = [...new Set(all)].sort((a, b) => a - b);
      const falling = rising.toReversed();
      const opened = [rising, falling].some((scan) => opens(sequence, decoys, [...scan, ...scan]));
      const { weaknesses } = strengthOf(sequence, decoys);
      const weak = weaknesses.some((words) => words.startsWith("opens to"));
      assert.equal(weak, opened, `${sequence} beside ${decoys}`);
    }
  }
});

Deno.test("strengthOf() names what is weak, and nothing else", () => {
  const cases: readonly [sequence: number[], decoys: number[], weak: RegExp[]][] = [
    [[7214, 3391, 9406, 1187, 5530, 2871, 6044], [], []],
    [[7214, 3391, 9406, 1187, 5530], [8000, 4000, 2000], []],
    [[7214, 3391, 9406, 1187, 5530], [], [/one in 120 scans/]],
    [[7000, 8000, 9000], [], [
      /tutorials/,
      /only 3 knocks/,
      /a scan of all ports in rising/,
      /one in 6 /,
    ]],
    [[9000, 8000, 7000], [8500], [/tutorials/, /only 3 knocks/, /one in 12 scans/]],
    [[500, 400, 300, 200, 190, 180, 100], [], [/a scan of all ports in falling/]],
    [[500, 400, 300, 200, 190, 180, 100], [250], []],
    [[500, 400, 300, 200, 190, 180, 100], [99, 501], [/a scan of all ports in falling/]],
    [[61, 62, 61, 62, 61], [], [/neighbouring/]],
    [[400, 500, 600, 700, 100, 200, 300], [], [/two scans .* in rising/]],
    [[400, 500, 600, 700, 100, 200, 300], [50], []],
    [[300, 200, 100, 700, 600, 500, 400], [], [/two scans .* in falling/]],
    [[7214, 3391, 9406, 80, 5530, 2871, 6044], [], [/scanners try first/]],
    [[5000, 5000], [], [/only 2 knocks/]],
  ];
  for (const [sequence, decoys, weak] of cases) {
    const { weaknesses } = strengthOf(sequence, decoys);
    assert.equal(weaknesses.length, weak.length, `${sequence}: ${weaknesses}`);
    weak.forEach((words, index) => assert.match(weaknesses[index] ?? "", words));
  }
});

/** Does a machine open to a source that sends one SYN to each of these ports? */
function opens(
  sequence: readonly number[],
  decoys: readonly number[],
  order: readonly number[],
): boolean {
  const machine = new KnockMachine({
    doors: [sequenceDoor(sequence)],
    decoys: decoys.map((port) => endpoint(`tcp/${port}`)),
    sourcesMax: 64,
    perPrefixMax: 16,
    key: KEY,
  });
  return order.some((destinationPort, index) => {
    const packet = { ...syn({ destinationPort, sequence: index }), ...ipv4(0x0a000001) };
    const effects = machine.step(packet, at(index));
    return effects > 0 && machine.effect(0).stage === sequence.length;
  });
}

function permutations(values: readonly number[]): number[][] {
  if (values.length === 0) return [[]];
  return values.flatMap((value, index) =>
    permutations(values.toSpliced(index, 1)).map((rest) => [value, ...rest])
  );
}
