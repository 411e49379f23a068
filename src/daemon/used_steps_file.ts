// The file of used steps as text: a header, then one record a line, of JSON and its checksum.
//
//     pk used steps 1
//     ["admin","192.0.2.7",58000000] 1a2b3c4d     a use: door, who, step
//     ["admin",57990000] 5e6f7a8b                 a floor: all steps of the door up to this one
//
// A line without its end is one whose writing was cut short: nothing was opened by it, and it does not
// count. Anything else that does not fit its checksum is damage, and is never passed over.

import { crc32 } from "../bytes/crc32.ts";
import { HostError } from "../errors.ts";

/** What a door may be opened with only once. */
export interface Use {
  /** Its steps are numbers of one series: where the length of its steps may change, that is in here. */
  readonly door: string;
  /** Source address as text, name of the user, or "". */
  readonly who: string;
  /** An integer, 0 or more. */
  readonly step: number;
}

/** What is known of the past. */
export interface Past {
  /** Texts of uses (`useText`), the oldest first. */
  readonly uses: Set<string>;
  /** Steps of each door that are used, all up to this one. */
  readonly floors: Map<string, number>;
}

const VERSION = 1;
const HEADER = `pk used steps ${VERSION}`;

/** A use as the file has it and as `Past` knows it. */
export function useText({ door, who, step }: Use): string {
  return JSON.stringify([door, who, step]);
}

/** The use of a `useText`. */
export function parseUse(text: string): Use {
  const [door, who, step] = JSON.parse(text);
  return { door, who, step };
}

/** The line of a record, with its end. */
export function recordLine(text: string): string {
  return `${text} ${checksum(text)}\n`;
}

/** A whole file. */
export function encodePast({ uses, floors }: Past): Uint8Array<ArrayBuffer> {
  const records = [...[...floors].map((floor) => JSON.stringify(floor)), ...uses];
  return new TextEncoder().encode(`${HEADER}\n${records.map(recordLine).join("")}`);
}

/**
 * Reads a file.
 *
 * @param path for the words of an error.
 * @returns the past, and how many bytes of the file are whole; those behind are a line cut short.
 * @throws {HostError} where the file is damaged or another version.
 */
export function decodePast(
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
): { readonly past: Past; readonly wholeBytes: number } {
  const wholeBytes = bytes.lastIndexOf(END_OF_LINE) + 1;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const [header, ...lines] = decoder.decode(bytes.subarray(0, wholeBytes)).split("\n").slice(0, -1);
  // The header was written together with the file: it is never cut short.
  if (header !== HEADER) throw damaged(path, 1, "not the header that this version of pk writes");
  const past: Past = { uses: new Set(), floors: new Map() };
  for (const [index, line] of lines.entries()) {
    if (!readRecord(past, line)) throw damaged(path, index + 2, "it is not as pk wrote it");
  }
  // A cut line lacks its end. A whole one and one byte more has another one in the place of it.
  const rest = decoder.decode(bytes.subarray(wholeBytes, -1));
  if (wholeBytes < bytes.length && recordOf(rest) !== undefined) {
    throw damaged(path, lines.length + 2, "its end is another byte");
  }
  return { past, wholeBytes };
}

/** A record may be there twice: the file was written anew and then appended to. */
function readRecord({ uses, floors }: Past, line: string): boolean {
  const text = recordOf(line) ?? "";
  const fields = fieldsOf(text);
  const [door, step] = [fields[0], fields.at(-1)];
  if (typeof door !== "string" || !isStep(step)) return false;
  if (fields.length === 2) floors.set(door, Math.max(step, floors.get(door) ?? step));
  else if (fields.length === 3 && typeof fields[1] === "string") uses.add(text);
  else return false;
  return true;
}

/** None but of JSON in the form in which it is written here: a use is known by its text. */
function fieldsOf(text: string): readonly unknown[] {
  try {
    const fields: unknown = JSON.parse(text);
    return Array.isArray(fields) && JSON.stringify(fields) === text ? fields : [];
  } catch {
    return [];
  }
}

/** The JSON of a line; undefined where the checksum is not its own. */
function recordOf(line: string): string | undefined {
  const text = line.slice(0, -1 - CHECKSUM_DIGITS);
  return text !== "" && line === recordLine(text).slice(0, -1) ? text : undefined;
}

/** Can it be the number of a step? */
export function isStep(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

const END_OF_LINE = 0x0a;
const CHECKSUM_DIGITS = 8;

function checksum(text: string): string {
  return crc32(new TextEncoder().encode(text)).toString(16).padStart(CHECKSUM_DIGITS, "0");
}

function damaged(path: string, line: number, reason: string): HostError {
  return new HostError(
    `Cannot use ${path}: line ${line} is damaged (${reason})`,
    "It says which knocks may not open again. Wait until those of the last minutes are too old to open " +
      `(two steps of every door), then move it away: mv ${path} ${path}.damaged`,
  );
}
