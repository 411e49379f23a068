// A configuration file as text → Config, or everything that is wrong with it. Pure: files that it names
// come through a parameter.

import { ConfigError } from "../errors.ts";
import { openYaml, type Path, type YamlDocument } from "../yaml/document.ts";
import { isRecord } from "../yaml/shape.ts";
import type { Config, Door, EncryptedKnock, Knock, Milliseconds, RotatingKnock } from "./config.ts";
import { DEFAULTS, KNOCK_DEFAULTS } from "./defaults.ts";
import type { Files } from "./files.ts";
import { parseOneTimeLines } from "./one_time.ts";
import { keyText, parseKey, type Secret } from "./secret.ts";
import {
  type FileProblem,
  folderOf,
  pathFrom,
  readKey,
  readPassphrase,
  readSecretFile,
  reasonHint,
  reasonText,
  type SecretPlace,
} from "./secret_file.ts";
import { type DraftDoor, reportConflicts } from "./yaml/conflicts.ts";
import {
  configSchema,
  decoysSchema,
  type DoorInFile,
  doorSchema,
  filterSchema,
} from "./yaml/schema.ts";

export interface Environment {
  /** systemd's $CREDENTIALS_DIRECTORY. */
  readonly credentialsFolder?: string | undefined;
  /** Folder that relative paths begin at. Default: that of the file, as it is named. */
  readonly folder?: string | undefined;
  /** Who runs pk, to whom or to root secrets have to belong. Undefined asks nobody. */
  readonly uid?: number | undefined;
}

/**
 * Reads the configuration in a file.
 *
 * @throws {ConfigError} with all problems.
 */
export function readConfig(file: string, files: Files, environment: Environment = {}): Config {
  return parseConfig(readText(file, files), file, files, environment);
}

/**
 * The bytes of a configuration file.
 *
 * @throws {ConfigError} when it cannot be read.
 */
export function readText(file: string, files: Files): Uint8Array {
  const found = files.read(file);
  if (!("reason" in found)) return found.bytes;
  const message = `Cannot read it: ${reasonText(found.reason)}`;
  const hint = reasonHint(found.reason) ??
    "Copy pk.example.yaml to start from, or name another file (--config FILE)";
  const problem = { file, line: 1, column: 1, message, hint, excerpt: undefined };
  throw new ConfigError(file, [problem]);
}

/**
 * Reads a configuration.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseConfig } from "./yaml.ts";
 * const files = { read: () => ({ reason: "ENOENT" }) };
 * const text = "doors: { ssh: { opens: [tcp/22], knock: [tcp/7153, udp/2918, tcp/8461] } }";
 * assert.equal(parseConfig(text, "pk.yaml", files).doors[0]?.timeoutMs, 20_000);
 * ```
 *
 * @param text as a string, or as the bytes of the file.
 * @param file its path, for messages and for what is relative to it.
 * @throws {ConfigError} with all problems.
 */
export function parseConfig(
  text: string | Uint8Array,
  file: string,
  files: Files,
  environment: Environment = {},
): Config {
  const document = openYaml(text, file);
  const whole = document.check(configSchema);
  const place = { ...environment, folder: environment.folder ?? folderOf(file) };
  // What is right in itself is looked at even where other parts are wrong.
  const drafts = doorNames(document.value).flatMap((name) => {
    const door = document.quietly(doorSchema, ["doors", name]);
    return door === undefined ? [] : [draftOf(name, door, { document, files, place })];
  });
  const decoys = document.quietly(decoysSchema, ["decoys"]) ?? [];
  const filter = document.quietly(filterSchema, ["filter"]) ?? DEFAULTS.filter;
  reportConflicts(drafts, decoys, filter, document);
  document.finish();
  if (whole === undefined) throw new TypeError("A configuration is wrong and nothing says so");
  return {
    doors: drafts.map(doorOf),
    refuse: whole.refuse,
    filter: whole.filter,
    decoys: whole.decoys,
    banMs: whole.ban,
    queueNumber: whole["queue-num"],
    tableOwner: whole["table-owner"],
    sourcesMax: whole.limits["sources-max"],
    grantsMax: whole.limits["grants-max"],
    log: whole.log,
  };
}

function doorNames(value: unknown): string[] {
  return isRecord(value) && isRecord(value.doors) ? Object.keys(value.doors) : [];
}

function doorOf({ knockRange: _range, lines: _lines, knock, ...door }: DraftDoor): Door {
  if (knock === undefined) throw new TypeError("A knock is wrong and nothing says so");
  return { ...door, knock };
}

interface Sources {
  readonly document: YamlDocument;
  readonly files: Files;
  readonly place: SecretPlace;
}

type KnockParts = Pick<DraftDoor, "knock" | "knockRange" | "lines">;

function draftOf(name: string, door: DoorInFile, sources: Sources): DraftDoor {
  return {
    name,
    opens: door.opens,
    ...knockOf(door.knock, ["doors", name, "knock"], sources),
    withinMs: door.within,
    timeoutMs: door.for,
    onExpire: door.then,
    from: door.from ?? [],
    weakAccepted: door.weak === "accepted",
  };
}

function knockOf(knock: DoorInFile["knock"], path: Path, sources: Sources): KnockParts {
  if (!isKinds(knock)) {
    return { knock: { kind: "plain", steps: knock }, knockRange: undefined, lines: [] };
  }
  if (knock.rotating) return rotatingOf(knock.rotating, [...path, "rotating"], sources);
  if (knock.encrypted) return encryptedOf(knock.encrypted, [...path, "encrypted"], sources);
  return oneTimeOf(knock["one-time"]?.file ?? "", [...path, "one-time", "file"], sources);
}

type Kinds = Exclude<DoorInFile["knock"], readonly unknown[]>;

function isKinds(knock: DoorInFile["knock"]): knock is Kinds {
  return !Array.isArray(knock);
}

function rotatingOf(
  rotating: NonNullable<Kinds["rotating"]>,
  path: Path,
  { document, files, place }: Sources,
): KnockParts {
  const secret = readKey(files, rotating["secret-file"], place);
  const { ports, knocks } = rotating;
  const knock = told(document, [...path, "secret-file"], secret, (secret): RotatingKnock => ({
    kind: "rotating",
    secret,
    ports,
    knocks,
    stepMs: rotating.step as Milliseconds,
    bindSource: rotating["bind-source"],
  }));
  return { knock, knockRange: { ports, key: "rotating" }, lines: [] };
}

function encryptedOf(
  encrypted: NonNullable<Kinds["encrypted"]>,
  path: Path,
  { document, files, place }: Sources,
): KnockParts {
  const { layout, ports = KNOCK_DEFAULTS.encrypted.ports[layout] } = encrypted;
  const byId = new Map<number, string>();
  const bySecret = new Map<string, string>();
  const users = Object.entries(encrypted.users).flatMap(([name, user]) => {
    const same = byId.get(user.id);
    byId.set(user.id, same ?? name);
    if (same !== undefined) {
      const message = `The user "${same}" has the id ${user.id}, too`;
      document.report({ path: [...path, "users", name, "id"], message });
    }
    const secret = readPassphrase(files, user["secret-file"], place);
    const at = [...path, "users", name, "secret-file"];
    const read = told(document, at, secret, (secret) => ({ id: user.id, name, secret }));
    if (read === undefined) return [];
    const meaning = meaningOf(read.secret);
    const other = bySecret.get(meaning);
    bySecret.set(meaning, other ?? name);
    if (other !== undefined) {
      const message = `The user "${other}" has the same secret: each could come in as the other`;
      document.report({ path: at, message, hint: `"pk secret" makes one for each` });
    }
    return [read];
  });
  const knock: EncryptedKnock = { kind: "encrypted", users, layout, ports };
  return { knock, knockRange: { ports, key: "encrypted" }, lines: [] };
}

/** The same for a key however it is written. Never to be told. */
function meaningOf(secret: Secret): string {
  const text = new TextDecoder().decode(secret.reveal());
  const key = parseKey(text);
  return key === undefined ? text : keyText(key.reveal());
}

function oneTimeOf(file: string, path: Path, { document, files, place }: Sources): KnockParts {
  // pk writes this file, which it cannot do to a credential.
  const found = readSecretFile(files, file, { folder: place.folder });
  const knock = told(document, path, found, ({ bytes }) => {
    const absolute = pathFrom(place.folder, file);
    const { sequences, wrong } = parseOneTimeLines(new TextDecoder().decode(bytes));
    for (const { lineNumber: line, reason: message } of wrong) {
      const problem = { file: absolute, line, column: 1, message, hint: undefined };
      document.reportElsewhere({ ...problem, excerpt: undefined });
    }
    return { absolute, sequences };
  });
  if (knock === undefined) return { knock: undefined, knockRange: undefined, lines: [] };
  const { absolute, sequences } = knock;
  const oneTime: Knock = {
    kind: "one-time",
    file: absolute,
    sequences: sequences.map(({ line, steps }) => ({ line, steps })),
  };
  return { knock: oneTime, knockRange: undefined, lines: sequences };
}

/** What is made of the content of a file, or the report that it cannot be used. */
function told<T extends object, U>(
  document: YamlDocument,
  path: Path,
  found: T | FileProblem,
  make: (found: T) => U,
): U | undefined {
  if (!("hint" in found)) return make(found);
  document.report({ path, ...found });
  return undefined;
}
