// What a configuration means where it does not say.

import { GRANTS_MAX, SOURCES_MAX, WITHIN_MS } from "../limits.ts";
import {
  type Filter,
  type LogFormat,
  type LogLevel,
  type Milliseconds,
  type OnExpire,
  type PortRange,
  QUEUE_NUMBER,
  type Refusal,
  type Transport,
} from "./config.ts";

export const DEFAULTS = {
  withinMs: WITHIN_MS as Milliseconds,
  timeoutMs: 20_000 as Milliseconds,
  onExpire: "keep" satisfies OnExpire,
  refuse: "drop" satisfies Refusal,
  filter: "stateful" satisfies Filter,
  queueNumber: QUEUE_NUMBER,
  tableOwner: true,
  sourcesMax: SOURCES_MAX,
  grantsMax: GRANTS_MAX,
  logFormat: "text" satisfies LogFormat,
  logLevel: "info" satisfies LogLevel,
} as const;

/** Of doors whose sequence changes, which client and server have to agree about: PROTOCOL.md. */
export const KNOCK_DEFAULTS = {
  rotating: {
    ports: range("tcp", 20_000, 21_023),
    knocks: 5,
    stepMs: 30_000 as Milliseconds,
    bindSource: true,
  },
  encrypted: {
    layout: "window",
    /** Both: one byte of the message is one of 256 ports. */
    ports: { window: range("tcp", 22_000, 22_255), indexed: range("tcp", 24_000, 28_095) },
  },
} as const;

function range(protocol: Transport, first: number, last: number): PortRange {
  return { protocol, first: first as PortRange["first"], last: last as PortRange["last"] };
}
