// The doors that the bench floods and knocks at: configurations of pk, and the sequences that real
// people knock there, computed for their addresses and the time as pk's client does.

import type { Port } from "../../src/config/config.ts";
import { keyText, Secret } from "../../src/config/secret.ts";
import { nextTurn } from "../../src/client/time_step.ts";
import { nodeCrypto } from "../../src/crypto/node_crypto.ts";
import {
  deriveKeys,
  encryptedSequence,
  portsOf,
  STEP_MS,
} from "../../src/knock/encrypted_message.ts";
import { rotatingSequence } from "../../src/knock/rotating_sequence.ts";
import { parseAddress } from "../../src/packet/address.ts";
import type { Source } from "../../src/packet/header.ts";
import { sleep } from "../support/netns.ts";
import { type Configured, startConfigured } from "../support/pk_config.ts";
import { freshAddress, GUARDED_PORT, KNOCK_PORTS } from "./addresses.ts";
import type { Knocks } from "./knockers.ts";
import type { BenchLab } from "./lab.ts";

/** Users of the encrypted door. */
export const USERS = 100;

/** What `rotating` and `encrypted` take when a file says nothing else. */
const ROTATING = { first: 20_000, count: 1_024, knocks: 5, stepMs: 30_000 } as const;
const ENCRYPTED = { first: 22_000, layout: "window" } as const;

export const ROTATING_PORTS = portsFrom(ROTATING.first, ROTATING.count);
export const ENCRYPTED_PORTS = portsFrom(ENCRYPTED.first, portsOf(ENCRYPTED.layout));

/** Where the knock ports of the second plain door begin. */
const FURTHER_FIRST = 23_000;

/** Knock ports of so many plain doors, each with its own: the first has those of pk's defaults. */
export function plainSequences(doors: number): readonly (readonly number[])[] {
  const length = KNOCK_PORTS.length;
  return Array.from(
    { length: doors },
    (_, door) => door === 0 ? KNOCK_PORTS : portsFrom(FURTHER_FIRST + (door - 1) * length, length),
  );
}

/** pk with so many plain doors, all of them to the guarded port, ready. */
export async function startPlainDoors(lab: BenchLab, doors: number): Promise<Configured> {
  const entries = plainSequences(doors).map((ports, door) => [`door-${door}`, plainDoor(ports)]);
  return await start(lab, Object.fromEntries(entries), {});
}

/** pk with a door of each kind, and what people knock there. */
export interface KindsOfDoors {
  readonly pk: Configured;
  readonly rotating: Knocks;
  readonly encrypted: Knocks;
}

/** Starts pk with a plain, a rotating and an encrypted door to the guarded port. */
export async function startKindsOfDoors(lab: BenchLab): Promise<KindsOfDoors> {
  const key = newKey();
  const users = Array.from({ length: USERS }, (_, id) => ({ id, key: newKey() }));
  const doors = {
    plain: plainDoor(KNOCK_PORTS),
    rotating: {
      opens: [`tcp/${GUARDED_PORT}`],
      knock: { rotating: { "secret-file": "rotating.secret" } },
    },
    encrypted: {
      opens: [`tcp/${GUARDED_PORT}`],
      knock: {
        encrypted: {
          users: Object.fromEntries(
            users.map(({ id }) => [`user-${id}`, { id, "secret-file": `${id}.secret` }]),
          ),
        },
      },
    },
  };
  const secrets = [["rotating", key] as const, ...users.map(({ id, key }) => [id, key] as const)];
  const files = secrets.map(([name, bytes]) => [`${name}.secret`, keyText(bytes)]);
  return {
    pk: await start(lab, doors, Object.fromEntries(files)),
    rotating: rotatingKnocks(key),
    encrypted: await encryptedKnocks(users),
  };
}

/** The sequence of a source at the current time step, then that of the next one. */
function rotatingKnocks(key: Uint8Array<ArrayBuffer>): Knocks {
  const secret = new Secret(key);
  const last = new Map<number, number>();
  const { first, count, knocks, stepMs } = ROTATING;
  return async (source) => {
    const timeStep = await nextStep(last, source, stepMs);
    return rotatingSequence({
      crypto: nodeCrypto,
      secret,
      door: "rotating",
      ports: { protocol: "tcp", first: first as Port, last: first + count - 1 as Port },
      knocks,
      source: sourceOf(source),
      timeStep,
    });
  };
}

/** The users in turn, whoever asks: each of them once at a time step. */
async function encryptedKnocks(
  users: readonly { readonly id: number; readonly key: Uint8Array<ArrayBuffer> }[],
): Promise<Knocks> {
  const keys = await Promise.all(users.map(({ id, key }) => {
    const text = new TextEncoder().encode(keyText(key));
    return deriveKeys(nodeCrypto, new Secret(text), "encrypted", id);
  }));
  const last = new Map<number, number>();
  let asked = 0;
  return async (source) => {
    const userId = asked++ % keys.length;
    const timeStep = await nextStep(last, userId, STEP_MS);
    return encryptedSequence({
      crypto: nodeCrypto,
      keys: keys[userId] as typeof keys[number],
      door: "encrypted",
      userId,
      source: sourceOf(source),
      layout: ENCRYPTED.layout,
      ports: { first: ENCRYPTED.first as Port },
      unixMs: timeStep * STEP_MS,
    });
  };
}

/** The next time step of somebody, when its time has come. */
async function nextStep(last: Map<number, number>, who: number, stepMs: number): Promise<number> {
  const { timeStep, waitMs } = nextTurn(last.get(who), Date.now(), stepMs);
  if (waitMs > 0) await sleep(waitMs);
  last.set(who, timeStep);
  return timeStep;
}

function sourceOf(source: number): Source {
  const address = parseAddress(freshAddress("ipv4", source));
  if (address === undefined) throw new Error(`Cannot find the address of source ${source}`);
  return address;
}

function plainDoor(ports: readonly number[]) {
  return {
    opens: [`tcp/${GUARDED_PORT}`],
    knock: ports.map((port) => `tcp/${port}`),
    weak: "accepted",
  };
}

async function start(
  lab: BenchLab,
  doors: Readonly<Record<string, unknown>>,
  files: Readonly<Record<string, string>>,
): Promise<Configured> {
  const yaml = `doors: ${JSON.stringify(doors)}`; // JSON is YAML
  return await startConfigured(lab.network.server, yaml, { files, level: "info" });
}

/** As `pk secret` makes them. */
function newKey(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(20));
}

function portsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
