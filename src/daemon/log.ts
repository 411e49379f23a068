// The log: constant events with their data in fields, one line each on standard error, as text or as
// JSON. A reader that does not keep up loses lines, which are counted; it never holds up the daemon.

import { configureSync, getLogger, type LogRecord } from "@logtape/logtape";
import { isWritable } from "../../ffi/wait.ts";
import type { LogFormat, LogLevel } from "../config/config.ts";

export type Fields = Readonly<Record<string, string | number | boolean>>;

/** Writes one event. */
export type Log = (level: LogLevel, event: string, fields?: Fields) => void;

const STDERR = 2;

/** Sets up the log of this process. */
export function openLog(format: LogFormat, lowestLevel: LogLevel): Log {
  const line = format === "json" ? jsonLine : textLine;
  let lost = 0;
  configureSync({
    reset: true,
    sinks: {
      stderr(record) {
        const note = lost > 0 ? { linesLost: lost } : {};
        if (writeLine(line({ ...record, properties: { ...record.properties, ...note } }))) lost = 0;
        else lost++;
      },
    },
    loggers: [
      { category: ["pk"], sinks: ["stderr"], lowestLevel },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "error" },
    ],
  });
  const logger = getLogger(["pk"]);
  return (level, event, fields = {}) => logger[level](event, { ...fields });
}

/** {"time":…,"level":…,"event":…, fields} */
function jsonLine(record: LogRecord): string {
  return JSON.stringify({
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    event: record.rawMessage,
    ...record.properties,
  });
}

/** 2026-01-31T12:00:00.000Z info granted source=192.0.2.1 port=22 */
function textLine(record: LogRecord): string {
  const fields = Object.entries(record.properties).map(([key, value]) => {
    const text = String(value);
    return ` ${key}=${/^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)}`;
  });
  const time = new Date(record.timestamp).toISOString();
  return `${time} ${record.level} ${record.rawMessage}${fields.join("")}`;
}

/** What a full disk has not taken of the last line: no other line may begin before it is written. */
let rest = new Uint8Array(0);

/** One line on standard error; false where it is lost, since nobody reads or a disk is full. */
export function writeLine(line: string): boolean {
  try {
    if (rest.length > 0 && !writeSome(rest)) return false;
    return rest.length === 0 && writeSome(new TextEncoder().encode(`${line}\n`));
  } catch {
    return false; // a full disk or a closed terminal: counted with the lines that were lost
  }
}

/** Writes what there is room for and keeps the rest; false where nobody reads. */
function writeSome(bytes: Uint8Array<ArrayBuffer>): boolean {
  if (!isWritable(STDERR)) return false;
  rest = bytes.subarray(Deno.stderr.writeSync(bytes));
  return true;
}
