// Files that pk reads back: its store of used steps, which may be damaged but never says anything else
// than what was written, and the secrets that a configuration names.

import type { Files } from "../../../src/config/files.ts";
import { Secret } from "../../../src/config/secret.ts";
import { type FileProblem, readKey, readPassphrase } from "../../../src/config/secret_file.ts";
import {
  decodePast,
  encodePast,
  isStep,
  parseUse,
  recordLine,
  useText,
} from "../../../src/daemon/used_steps_file.ts";
import { HostError } from "../../../src/errors.ts";
import type { Arena } from "../arena.ts";
import { digest, fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import type { Random } from "../random.ts";
import { expect } from "../oracle.ts";
import { textMutators } from "./files.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

const USES = [
  { door: "admin", who: "192.0.2.7", step: 58_000_000 },
  { door: "admin", who: "2001:db8::1", step: 58_000_001 },
  { door: "vault (indexed)", who: "alice", step: 0 },
  { door: 'a "door"', who: "", step: Number.MAX_SAFE_INTEGER },
].map(useText);
const FLOORS = [["admin", 57_990_000], ["vault (indexed)", 0]] as const;

const RECORDS = [
  ...'["admin" ,"192.0.2.7" ,58000000] [] {} null [[ ]] -1 1e3 9007199254740992 1e999 "" \\u0000'
    .split(" "),
  " ",
  "\ufeff",
  "\ud800",
  '\n["b",1] 00000000\n',
].map((token) => encoder.encode(token));
const CHECKSUM = " 00000000".length;

export const usedSteps: Target = {
  name: "used_steps",
  capacity: 1_024,
  share: 1,
  seeds: () => [
    encodePast({ uses: new Set(USES), floors: new Map(FLOORS) }),
    encodePast({ uses: new Set(USES.slice(0, 1)), floors: new Map() }),
    encodePast({ uses: new Set(), floors: new Map() }),
    encodePast({ uses: new Set(USES), floors: new Map() }).slice(0, -12),
    new Uint8Array(),
  ],
  mutators: textMutators(RECORDS),
  finish: putChecksumsRight,
  outcomes: ["past", "HostError"],
  newJudge: () => (arena) => {
    const bytes = arena.front().slice();
    try {
      return checkPast(decodePast(bytes, "used-steps"), bytes) << 8;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return 1 | digest(error.message) << 8;
    }
  },
};

function checkPast(
  { past, wholeBytes }: ReturnType<typeof decodePast>,
  bytes: Uint8Array,
): number {
  expect(wholeBytes <= bytes.length && bytes[wholeBytes - 1] === 10, () => "not whole lines");
  for (const text of past.uses) {
    const { door, who, step } = parseUse(text);
    const holds = typeof door === "string" && typeof who === "string" && isStep(step);
    expect(holds && useText({ door, who, step }) === text, () => "a use that pk does not write");
  }
  for (const [door, step] of past.floors) {
    expect(typeof door === "string" && isStep(step), () => `a floor at ${step}`);
  }
  const again = decodePast(encodePast(past), "used-steps").past;
  expect(digest(listed(again)) === digest(listed(past)), () => "another past when read again");
  return fold(Math.min(past.uses.size, 16), Math.min(past.floors.size, 16));
}

function listed({ uses, floors }: ReturnType<typeof decodePast>["past"]) {
  return [[...uses], [...floors]];
}

/** Mostly, so that what they vouch for is read. */
function putChecksumsRight(arena: Arena, random: Random): void {
  if (random.once(4)) return;
  const [header = "", ...lines] = decoder.decode(arena.front()).split("\n");
  const last = lines.pop();
  if (last === undefined) return;
  const records = lines.map((line) => recordLine(line.slice(0, -CHECKSUM)));
  arena.load(encoder.encode(`${header}\n${records.join("")}${last}`));
}

const PLACE = { folder: "/etc/pk" };
const PASSPHRASES = ["\r", "\r\n", "\n\n", "\0", "é", "\u{1f512}", "\ufeff", "-", " ", "k\u212a"]
  .map((token) => encoder.encode(token));

/** Read as a key and as a passphrase. */
export const secretFile: Target = {
  name: "secret",
  capacity: 1_200,
  share: 1,
  seeds: () =>
    [
      "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567\n",
      "ABCDEFGH ijkl mnop\tqrstuvwxyz234567",
      "correct horse battery staple\r\n",
      "short\n",
      `${"long ".repeat(206)}\n`,
      "",
    ].map((text) => encoder.encode(text)),
  mutators: textMutators(PASSPHRASES),
  outcomes: ["key and passphrase", "passphrase", "neither"],
  newJudge: () => (arena) => {
    const bytes = arena.front().slice();
    const files: Files = { read: () => ({ bytes, mode: 0o600 }) };
    const key = readKey(files, "a.secret", PLACE);
    const passphrase = readPassphrase(files, "a.secret", PLACE);
    const said = [key, passphrase].map((one) => checkSecret(one, bytes));
    if (passphrase instanceof Secret) {
      const { length } = passphrase.reveal();
      // The mark that some editors begin a text with is no part of it.
      const from = decoder.decode(bytes).startsWith("\ufeff") ? 3 : 0;
      const same = passphrase.equals(new Secret(bytes.subarray(from, from + length)));
      const rest = decoder.decode(bytes.subarray(from + length));
      expect(same && /^(\r?\n)?$/.test(rest), () => "another passphrase");
    }
    const outcome = key instanceof Secret ? 0 : passphrase instanceof Secret ? 1 : 2;
    return outcome | digest(said) << 8;
  },
};

/** What is refused is not repeated. */
function checkSecret(found: Secret | FileProblem, bytes: Uint8Array): string {
  if (found instanceof Secret) return "";
  const { message, hint } = found;
  const text = decoder.decode(bytes).trim();
  expect(message !== "" && hint !== "", () => "a refusal without words");
  expect(text.length < 16 || !message.includes(text), () => "a secret in the words of a problem");
  return message;
}
