// pk secret: makes what a door is opened with. Standard output has the secret and nothing else;
// everything that explains it is on standard error.

import {
  choice,
  command,
  type InferValue,
  integer,
  message,
  object,
  option,
  optional,
  string,
} from "@optique/core";
import { renderUnicodeCompact } from "uqr";
import { blockedInRange } from "../config/browser_ports.ts";
import { rangeText } from "../config/config.ts";
import { KNOCK_DEFAULTS } from "../config/defaults.ts";
import { KEY_BYTES, keyText } from "../config/secret.ts";
import { stepText } from "../config/step.ts";
import { writeLine } from "../daemon/log.ts";
import { HostError, UsageError } from "../errors.ts";
import { RANDOM_KNOCKS, type RandomSequence, randomSequence } from "../knock/random_sequence.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";
import { path } from "./value.ts";

/** What may be typed. */
export const secret = command(
  "secret",
  object({
    for: optional(option("--for", choice(["rotating", "encrypted", "plain"], { metavar: "KIND" }), {
      description:
        message`rotating or encrypted: a key; plain: a sequence of TCP ports. Default: rotating`,
    })),
    browser: option("--browser", {
      description: message`For pk page: without ports that browsers block`,
    }),
    knocks: optional(
      option(
        "--knocks",
        integer({ metavar: "N", min: RANDOM_KNOCKS.min, max: RANDOM_KNOCKS.max }),
        { description: message`Ports of a plain sequence. Default: 5` },
      ),
    ),
    door: optional(option("--door", string({ metavar: "NAME" }), {
      description: message`The door that the configuration lines are for. Default: admin`,
    })),
    out: optional(option("--out", "-o", path("FILE"), {
      description: message`Write it into a new file that only you may read, instead of printing it`,
    })),
    qr: option("--qr", {
      description:
        message`Show a QR code on standard error. Default: where the secret is printed on a terminal`,
    }),
    noQr: option("--no-qr", { description: message`Show none` }),
  }),
  {
    brief: message`Make a secret, with a QR code`,
    description:
      message`Prints a random key of 160 bits, or a random sequence, and says on standard error what to write into the configurations of server and client.`,
  },
);

export type SecretArguments = InferValue<typeof secret>;

/** @returns the exit code. */
export function secretCommand(asked: SecretArguments): number {
  const { for: kind = "rotating", door = "admin", browser, out } = asked;
  if (asked.qr && asked.noQr) throw new UsageError("Cannot use both --qr and --no-qr", "Take one");
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/.test(door)) {
    throw new UsageError(
      `Cannot use --door ${JSON.stringify(door)}: a name has up to 32 letters, digits, - and _`,
      "Take the door's name in pk.yaml",
    );
  }
  if (kind !== "plain" && asked.knocks !== undefined) {
    throw new UsageError("Cannot use --knocks with a key", "It is for --for plain");
  }
  if (kind === "encrypted" && browser) {
    throw new UsageError(
      "Cannot make a key for encrypted knocks from a browser: pk page does plain and rotating ones",
      "Take --for rotating or --for plain",
    );
  }
  const sequence = kind === "plain"
    ? randomSequence(asked.knocks ?? RANDOM_KNOCKS.default, browser, randomBelow)
    : undefined;
  const text = sequence === undefined
    ? keyText(crypto.getRandomValues(new Uint8Array(KEY_BYTES)))
    : stepsText(sequence.ports);
  if (out === undefined) print(`${text}\n`);
  else writeNewFile(out, `${text}\n`);
  const shown = out === undefined && Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  if (asked.qr || (shown && !asked.noQr)) writeLine(qrCode(text));
  const file = out ?? `${door}.secret`;
  const lines = sequence === undefined
    ? keyHint(kind === "encrypted" ? "encrypted" : "rotating", door, file, browser)
    : sequenceHint(door, sequence);
  const keep = out !== undefined
    ? [`pk: Only you may read ${out}`]
    : sequence === undefined
    ? [`pk: Keep it in a file that only its owner may read, or pk refuses it: chmod 600 ${file}`]
    : [];
  for (const line of [...keep, ...lines]) writeLine(line);
  return EXIT.ok;
}

/** Without the bias of a remainder: numbers behind the last whole multiple are drawn again. */
export function randomBelow(bound: number): number {
  const limit = 2 ** 32 - 2 ** 32 % bound;
  for (;;) {
    const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
    if (number < limit) return number % bound;
  }
}

function stepsText(ports: readonly number[]): string {
  return ports.map((port) => stepText({ protocol: "tcp", port })).join(", ");
}

/** On a terminal in its own colours, whatever the terminal's are: cameras want dark on light. */
function qrCode(text: string): string {
  const code = renderUnicodeCompact(text, { ecc: "M", border: 2 });
  if (Deno.noColor || !Deno.stderr.isTerminal()) return code;
  return code.split("\n").map((line) => `\x1b[97;40m${line}\x1b[0m`).join("\n");
}

function keyHint(
  kind: "rotating" | "encrypted",
  door: string,
  file: string,
  browser: boolean,
): readonly string[] {
  const named = quoted(file);
  const [server, client] = kind === "rotating"
    ? [`rotating: { secret-file: ${named} }`, `rotating: { secret-file: ${named} }`]
    : [
      `encrypted: { users: { alice: { id: 1, secret-file: ${named} } } }`,
      `encrypted: { user: 1, secret-file: ${named} }`,
    ];
  const { ports } = KNOCK_DEFAULTS.rotating;
  const free = blockedInRange(ports).length === 0;
  return [
    ...(browser && free
      ? [`pk: Browsers block no port of the default range, ${rangeText(ports)}`]
      : []),
    ...configurationHint(door, [`    knock: { ${server} }`], `    knock: { ${client} }`),
  ];
}

function sequenceHint(door: string, { ports, decoys, scans }: RandomSequence): readonly string[] {
  const knock = `    knock: [${stepsText(ports)}]`;
  const many = Number.isFinite(scans) ? Math.round(scans).toLocaleString("en") : "no number of";
  const alone = Math.round(factorial(ports.length)).toLocaleString("en");
  const strength = decoys.length === 0
    ? `One in ${many} scans of all ports, each in random order, opens the door`
    : `One in ${many} scans of all ports, each in random order, opens the door with these decoys, ` +
      `one in ${alone} without`;
  return [
    `pk: ${strength}. Whoever can watch the network sees a plain sequence and can repeat it`,
    ...configurationHint(
      door,
      [knock, ...(decoys.length === 0 ? [] : [`decoys: [${stepsText(decoys)}]`])],
      knock,
    ),
  ];
}

function configurationHint(
  door: string,
  server: readonly string[],
  client: string,
): readonly string[] {
  return [
    "# pk.yaml of the server",
    "doors:",
    `  ${door}:`,
    "    opens: [tcp/22]",
    ...server,
    "# ~/.config/pk/hosts.yaml of the client",
    "hosts:",
    `  ${door}:`,
    "    host: server.example.net",
    "    opens: tcp/22",
    client,
  ];
}

/** A path as YAML reads it in a flow map. */
function quoted(path: string): string {
  return /^[A-Za-z0-9_./-]+$/.test(path) ? path : JSON.stringify(path);
}

function factorial(count: number): number {
  return count <= 1 ? 1 : count * factorial(count - 1);
}

/**
 * Writes a file of mode 0600 that is there as a whole or not at all, and never over another one.
 *
 * @throws {HostError}
 */
function writeNewFile(path: string, text: string): void {
  const part = `${path}.${crypto.randomUUID().slice(0, 8)}.part`;
  try {
    try {
      using file = Deno.openSync(part, { createNew: true, write: true, mode: 0o600 });
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      file.syncSync();
      // Unlike a rename, a link fails where there is a file of that name.
      Deno.linkSync(part, path);
    } finally {
      removeQuietly(part);
    }
  } catch (error) {
    const exists = error instanceof Deno.errors.AlreadyExists;
    const reason = exists
      ? "there is a file of that name"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new HostError(
      `Cannot write ${path}: ${reason}`,
      exists ? "Name another one, or move that away" : "Name a folder that you may write to",
    );
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was not made at all.
  }
}
