// Sequences that follow from a secret, the time and the source: PROTOCOL.md, "Rotating sequences".
// Server and client derive them here. Each knock costs one HMAC, so that whoever wants to know the
// first one pays for no other.

import type { PortRange } from "../config/config.ts";
import type { Secret } from "../config/secret.ts";
import type { Source } from "../packet/header.ts";
import type { KnockCrypto } from "./crypto.ts";

/** What makes the sequences of one door differ from those of all others. */
export interface RotatingParameters {
  readonly crypto: KnockCrypto;
  readonly secret: Secret;
  /** Name of the door, up to 255 bytes of UTF-8. */
  readonly door: string;
  /** What the knocks are taken from: at least as many ports as there are knocks. */
  readonly ports: PortRange;
  /** Knocks of a sequence, up to 255. */
  readonly knocks: number;
}

/** Which of a door's sequences. */
export interface RotatingOccasion {
  /** The address that the server sees, or undefined where the door does not bind it. */
  readonly source: Readonly<Source> | undefined;
  /** See `timeStepAt`. */
  readonly timeStep: number;
}

/**
 * The ports of one sequence, in order.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { Secret } from "../config/secret.ts";
 * import { nodeCrypto } from "../crypto/node_crypto.ts";
 * import { parseAddress } from "../packet/address.ts";
 * import { rotatingSequence, timeStepAt } from "./rotating_sequence.ts";
 * import type { Port } from "../config/config.ts";
 *
 * const sequence = rotatingSequence({
 *   crypto: nodeCrypto,
 *   secret: new Secret(new TextEncoder().encode("12345678901234567890")),
 *   door: "admin",
 *   ports: { protocol: "tcp", first: 20000 as Port, last: 21023 as Port },
 *   knocks: 5,
 *   source: parseAddress("192.0.2.1"),
 *   timeStep: timeStepAt(1_700_000_000_000, 30_000),
 * });
 * assert.deepEqual(sequence, [20810, 20025, 20356, 20256, 20175]);
 * ```
 */
export function rotatingSequence(question: RotatingParameters & RotatingOccasion): number[] {
  const derivation = new RotatingDerivation(question);
  const sequence: number[] = [];
  for (let index = 0; index < question.knocks; index++) {
    sequence.push(derivation.port(question.timeStep, question.source, sequence, 0, index));
  }
  return sequence;
}

/** The time step of a moment: both in milliseconds, the moment since 1970. */
export function timeStepAt(unixMs: number, stepMs: number): number {
  return Math.floor(unixMs / stepMs);
}

// What the HMAC is of; the name has so many bytes as its length says, the address 0, 4 or 16:
//
//   ┌────────────────┬───────────┬──────┬───────────┬───────┬────────┬─────────┐
//   │ "pk-rotating-1"│name length│ name │ time step │ index │ family │ address │
//   │      13        │     1     │      │  8, u64be │   1   │   1    │         │
//   └────────────────┴───────────┴──────┴───────────┴───────┴────────┴─────────┘
//                                        AT_STEP     AT_INDEX AT_FAMILY AT_ADDRESS: behind the name
const LABEL = "pk-rotating-1";
const AT_STEP = 0;
const AT_INDEX = 8;
const AT_FAMILY = 9;
const AT_ADDRESS = 10;

const NO_ADDRESS = { family: 0, bytes: 0 } as const;
const IPV4 = { family: 4, bytes: 4 } as const;
const IPV6 = { family: 6, bytes: 16 } as const;

/** Derives the knocks of one door, one at a time. */
export class RotatingDerivation {
  readonly #hmac: (message: Uint8Array) => Uint8Array;
  readonly #first: number;
  readonly #size: number;
  readonly #message: Uint8Array;
  /** The message from the time step on. */
  readonly #variable: DataView;

  /** @throws RangeError where the parameters allow no sequence: a configuration excludes them. */
  constructor({ crypto, secret, door, ports, knocks }: RotatingParameters) {
    this.#hmac = crypto.hmacSha256(secret.reveal());
    this.#first = ports.first;
    this.#size = ports.last - ports.first + 1;
    if (knocks > this.#size || knocks > 0xff) {
      throw new RangeError(`Cannot take ${knocks} knocks from ${this.#size} ports`);
    }
    const name = new TextEncoder().encode(door);
    if (name.length > 0xff) throw new RangeError(`Cannot use a name of ${name.length} bytes`);
    const fixed = [...new TextEncoder().encode(LABEL), name.length, ...name];
    this.#message = new Uint8Array(fixed.length + AT_ADDRESS + IPV6.bytes);
    this.#message.set(fixed);
    this.#variable = new DataView(this.#message.buffer, fixed.length);
  }

  /**
   * The knock at `index`, from 0.
   *
   * @param ports where the earlier knocks of the sequence are, the first of them at `at`.
   */
  port(
    timeStep: number,
    source: Readonly<Source> | undefined,
    ports: ArrayLike<number>,
    at: number,
    index: number,
  ): number {
    const place = this.#value(timeStep, source, index) % (this.#size - index);
    return this.#free(place, ports, at, index);
  }

  /** 31 bits, by the dynamic truncation of RFC 4226, section 5.3. */
  #value(timeStep: number, source: Readonly<Source> | undefined, index: number): number {
    const view = this.#variable;
    view.setUint32(AT_STEP, Math.floor(timeStep / 2 ** 32));
    view.setUint32(AT_STEP + 4, timeStep);
    view.setUint8(AT_INDEX, index);
    const { family, bytes } = this.#setAddress(source);
    view.setUint8(AT_FAMILY, family);
    const length = view.byteOffset + AT_ADDRESS + bytes;
    const digest = this.#hmac(this.#message.subarray(0, length));
    const offset = (digest[digest.length - 1] as number) & 0x0f;
    return new DataView(digest.buffer, digest.byteOffset).getUint32(offset) & 0x7fff_ffff;
  }

  /** IPv4-mapped addresses are IPv4: that is what the server sees of a dual-stack socket. */
  #setAddress(source: Readonly<Source> | undefined) {
    if (source === undefined) return NO_ADDRESS;
    const view = this.#variable;
    const { family, word0, word1, word2, word3 } = source;
    if (family === 4 || (word0 === 0 && word1 === 0 && word2 === 0xffff)) {
      view.setUint32(AT_ADDRESS, word3);
      return IPV4;
    }
    view.setUint32(AT_ADDRESS, word0);
    view.setUint32(AT_ADDRESS + 4, word1);
    view.setUint32(AT_ADDRESS + 8, word2);
    view.setUint32(AT_ADDRESS + 12, word3);
    return IPV6;
  }

  /** The port at `place`, from 0, of those that no earlier knock has taken. */
  #free(place: number, ports: ArrayLike<number>, at: number, count: number): number {
    let port = this.#first + place;
    for (;;) {
      let below = 0;
      for (let index = at; index < at + count; index++) {
        if ((ports[index] as number) <= port) below++;
      }
      if (port === this.#first + place + below) return port;
      port = this.#first + place + below;
    }
  }
}
