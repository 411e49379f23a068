// Texts: the flags and the command line. The input is UTF-8, its lines are the values.

import { parseArguments } from "../../../src/cli/arguments.ts";
import { parseFlags } from "../../../src/config/flags.ts";
import { UsageError } from "../../../src/errors.ts";
import type { Arena } from "../arena.ts";
import type { Bytes } from "../corpus.ts";
import { digest, fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import { byteMutators, insertGap, type Mutator } from "../mutate_bytes.ts";
import { expect } from "../oracle.ts";
import { expectFlags, rawFlags } from "../plain_flags.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

const TOKENS = [
  ..."0 1 9 10 65535 65536 70000 007 -1 +1 1.5 1e3 0x50 NaN Infinity 2147483647 2147483648".split(
    " ",
  ),
  ..."9999999999 99999999999 20s 2m 597h 1d ms s m h debug info warn warning error text json".split(
    " ",
  ),
  ..."80,81 80,81,82,83,84,85,86,87 1,2,3,4,5,6,7,8,9,10,11 , ,, ; . - -- = / # \0 \r \t".split(
    " ",
  ),
  ..."--port-seq --port_seq=7000,8000 --port-dest --rule-timer --strict --dry-run down run".split(
    " ",
  ),
  ..."check knock connect page secret import --config".split(" "),
  ..."drop reset keep cut none 23,25 --decoys=23,25 --ban=5m --within=5s --refuse --on-expire"
    .split(" "),
  ..."--sources-max=256 --grants-max --log-format --log-level=debug --queue-num --help -h --version -V --no-table-owner -- -x"
    .split(" "),
  ..."٨٠ ８０ é \u{1f512} \ufeff \u00a0 \u2028 __proto__ constructor toString $& %s ${x}".split(
    " ",
  ),
  " ",
  "  ",
  "\n",
].map((token) => encoder.encode(token));

const insertToken: Mutator = (arena, random) => {
  const token = random.pick(TOKENS);
  const at = random.below(arena.length + 1);
  if (insertGap(arena, at, token.length) === token.length) arena.bytes.set(token, at);
};

/** A line becomes a token. */
const replaceLine: Mutator = (arena, random) => {
  const token = random.pick(TOKENS);
  const text = arena.front();
  const start = text.lastIndexOf(LINE_END, random.below(arena.length + 1)) + 1;
  const next = text.indexOf(LINE_END, start);
  const rest = next === -1 ? NOTHING : text.slice(next);
  arena.resize(start + token.length + rest.length);
  const room = arena.capacity - start;
  arena.bytes.set(token.subarray(0, room), start);
  arena.bytes.set(rest.subarray(0, Math.max(0, room - token.length)), start + token.length);
};

const LINE_END = 10;
const NOTHING = new Uint8Array();

const textMutators = [
  ...Array.from({ length: byteMutators.length }, () => insertToken),
  ...Array.from({ length: byteMutators.length }, () => replaceLine),
  ...byteMutators,
];

const ofText = { capacity: 512, mutators: textMutators };

/** One line for each flag in the order of parseFlags(); an empty one is a flag that was not given. */
export const flags: Target = {
  ...ofText,
  name: "flags",
  share: 3,
  seeds: texts(
    "7000,8000,9000\n22\n20s\n10s\nreset\ncut\n23,25\n5m\n256\n1\n7\njson\ndebug",
    " 80 , 81\n065535\n2147483647ms\n1\ndrop\nkeep\nnone\nnone\n4194304\n1000000\n0\ntext\nwarn",
    "\n\n\n\n\n\n\n\n\n\n\n\n",
    "1,2,3,4,5,6,7,8,9,10\n10090\n596h\n24d\nx\nx\n22\n596h\n255\n0\n65535\nxml\nINFO",
    "22,22\n22\n1\n0\n \n \n22,80\n1ms\n-1\n-1\n-1\n \n ",
  ),
  outcomes: ["as typed", "findings", "conflict"],
  newJudge: () => (arena) => {
    const raw = rawFlags(lines(arena));
    const parsed = parseFlags(raw);
    expectFlags(raw, parsed);
    const { findings, conflict, publicSequence, config } = parsed;
    const outcome = conflict !== undefined ? 2 : findings.length > 0 ? 1 : 0;
    const shape = digest([findings.map(({ flag, reason }) => flag + reason), publicSequence]);
    const { knock } = config.doors[0] ?? {};
    return outcome | fold(shape, knock?.kind === "plain" ? knock.steps.length : 0) << 8;
  },
};

/** The command line; what it gives for flags goes on to parseFlags(). */
export const commandLine: Target = {
  ...ofText,
  name: "arguments",
  share: 0.05,
  seeds: texts(
    "",
    "down",
    "--help",
    "--version",
    "--port-seq\n7000,8000\n--port-dest\n22\n--rule-timer\n20s\n--strict",
    "--port_seq=7000,8000\n--port_dest=22\n--rule_timer=2m\n--dry-run",
    "--log-format\njson\n--log-level\ndebug\n--queue-num\n7\n--no-table-owner",
    "down\n--help",
    "--port-seq\n--strict",
  ),
  outcomes: ["run", "another command", "output", "UsageError"],
  newJudge: () => (arena) => {
    const args = arena.length === 0 ? [] : lines(arena);
    try {
      const request = parseArguments(args, "0");
      if ("output" in request) {
        expect(typeof request.output === "string", () => "output that is no text");
        return 2;
      }
      const { arguments: given } = request;
      // The parser's type knows run alone; of the others it gives the name.
      if (String(given.command) !== "run") return 1;
      const raw = { ...given, tableOwner: !given.noTableOwner };
      expectFlags(raw, parseFlags(raw));
      return digest(Object.values(given).map((value) => value === undefined)) << 8;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      const { message, hint } = error;
      expect(message !== "" && hint !== undefined, () => "a refusal without words");
      return 3 | digest(message.replaceAll(/\W.*$/g, "")) << 8;
    }
  },
};

function texts(...list: readonly string[]): () => Bytes[] {
  return () => list.map((text) => encoder.encode(text));
}

function lines(arena: Arena): string[] {
  return decoder.decode(arena.front()).split("\n");
}
