// The message of an encrypted sequence: who knocks, when and from where, in one AES block that is
// sent as sixteen knocks. Server and client share this file; PROTOCOL.md has its words and vectors.
//
//    0        1                 4                                              16
//   ┌────────┬─────────────────┬──────────────────────────────────────────────┐
//   │ user   │ time step       │ HMAC-SHA-256, the first 96 bits              │  under AES-256
//   └────────┴─────────────────┴──────────────────────────────────────────────┘
//
// The HMAC authenticates; the cipher hides the user, and makes a sequence look like any other.

import { Writer } from "../bytes/writer.ts";
import type { EncryptedKnock, PortRange } from "../config/config.ts";
import { keyText, parseKey, Secret } from "../config/secret.ts";
import { addressBytes } from "../packet/address.ts";
import type { Source } from "../packet/header.ts";
import type { Bytes, KnockCrypto } from "./crypto.ts";

/** Knocks of a sequence: the bytes of an AES block. */
export const MESSAGE_BYTES = 16;
/** Ports of a knock: the values of a byte. */
export const VALUES = 256;
export const STEP_MS = 30_000;
/** Time steps that a message may be early or late. */
export const SKEW_STEPS = 1;

const MAC_AT = 4;
const MAC_BYTES = MESSAGE_BYTES - MAC_AT;
const STEP_MASK = 0xff_ffff;
const KEY_LABEL = "pk-encrypted-key-1";
const MAC_LABEL = "pk-encrypted-mac-1";

export type Layout = EncryptedKnock["layout"];

/** What a user of a door encrypts and authenticates with: 32 bytes each. */
export interface MessageKeys {
  readonly aes: Secret;
  readonly hmac: Secret;
}

/** Who knocks at which door, and from where. */
export interface Sender {
  readonly keys: MessageKeys;
  /** Name of the door. */
  readonly door: string;
  /** 0 to 255. */
  readonly userId: number;
  /** The address that the server sees. */
  readonly source: Readonly<Source>;
}

/**
 * The keys that follow from what is in a user's secret file. A key that `pk secret` made is stretched
 * by HKDF (RFC 5869), at once; anything else is a passphrase and costs scrypt (RFC 7914).
 *
 * @param door up to 255 bytes of UTF-8; a longer name is a RangeError.
 */
export async function deriveKeys(
  crypto: KnockCrypto,
  secret: Secret,
  door: string,
  userId: number,
): Promise<MessageKeys> {
  const salt = labelled(KEY_LABEL, door, userId).bytes();
  const key = generatedKey(secret);
  const bytes = key === undefined
    ? await crypto.scrypt(secret.reveal(), salt, 64)
    : hkdf(crypto, key.reveal(), salt);
  return { aes: new Secret(bytes.subarray(0, 32)), hmac: new Secret(bytes.subarray(32)) };
}

/**
 * Is it a passphrase, which takes scrypt's time, and not a key that `pk secret` made? A key counts as
 * one only in its eight groups of four: 32 letters alone may be words that somebody has chosen.
 */
export function isPassphrase(secret: Secret): boolean {
  return generatedKey(secret) === undefined;
}

/**
 * The ports to knock on, in order, for the time that is now.
 *
 * @param ports the door's range, of which the first counts.
 */
export function encryptedSequence(
  options: Sender & {
    readonly crypto: KnockCrypto;
    readonly layout: Layout;
    readonly ports: Pick<PortRange, "first">;
    /** Since 1970. */
    readonly unixMs: number;
  },
): number[] {
  const { crypto, layout, ports, unixMs } = options;
  const block = sealMessage(crypto, options, stepAt(unixMs));
  return Array.from(block, (value, place) => ports.first + portOffset(layout, place, value));
}

/** Ports that a layout takes, the first one included. */
export function portsOf(layout: Layout): number {
  return layout === "window" ? VALUES : VALUES * MESSAGE_BYTES;
}

/** The time step of a moment: 30 s since 1970, as all of them. */
export function stepAt(unixMs: number): number {
  return Math.floor(unixMs / STEP_MS);
}

/**
 * The step nearest to now that a message means by its 24 bits, or undefined where that is not now,
 * give or take the skew. 24 bits last for 15.9 years.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { fullStep } from "./encrypted_message.ts";
 * assert(fullStep(0x000000, 0x2ffffff) === 0x3000000);
 * assert(fullStep(0xfffffe, 0x3000000) === undefined);
 * ```
 */
export function fullStep(bits: number, stepNow: number): number | undefined {
  const ahead = (bits - stepNow) << 8 >> 8; // the difference modulo 2^24, with its sign
  return Math.abs(ahead) <= SKEW_STEPS ? stepNow + ahead : undefined;
}

/** The block of a user at a time step. */
export function sealMessage(crypto: KnockCrypto, sender: Sender, step: number): Bytes {
  const message = new Writer(MESSAGE_BYTES)
    .u32be((sender.userId << 24 | step & STEP_MASK) >>> 0)
    .raw(authenticate(crypto, sender, step))
    .bytes();
  return crypto.aesEncrypt(sender.keys.aes.reveal())(message);
}

/** The time step of a block that a user sealed at this source at about this time, or undefined. */
export type OpenMessage = (
  block: Uint8Array,
  source: Readonly<Source>,
  stepNow: number,
) => number | undefined;

/** Opens the messages of one user, with one cipher for all of them, made when it is needed. */
export function messageOpener(crypto: KnockCrypto, user: Omit<Sender, "source">): OpenMessage {
  let decrypt: ((block: Uint8Array) => Bytes) | undefined;
  return (block, source, stepNow) => {
    decrypt ??= crypto.aesDecrypt(user.keys.aes.reveal());
    const message = decrypt(block);
    const word = new DataView(message.buffer, message.byteOffset).getUint32(0);
    const step = stepOf(word, user.userId, stepNow);
    if (step === undefined) return undefined;
    const mac = authenticate(crypto, { ...user, source }, step);
    return sameBytes(message.subarray(MAC_AT), mac) ? step : undefined;
  };
}

/** The step that the first word of a message tells, if it is one of this user's at about this time. */
export function stepOf(word: number, userId: number, stepNow: number): number | undefined {
  return word >>> 24 === userId ? fullStep(word & STEP_MASK, stepNow) : undefined;
}

/** The whole step goes in, not its 24 bits: what was knocked 15.9 years ago is not valid again. */
function authenticate(
  crypto: KnockCrypto,
  { keys, door, userId, source }: Sender,
  step: number,
): Bytes {
  const address = unmapped(source);
  const text = labelled(MAC_LABEL, door, userId)
    .u32be(Math.floor(step / 2 ** 32) >>> 0)
    .u32be(step >>> 0)
    .u8(address.family)
    .raw(addressBytes(address))
    .bytes();
  return crypto.hmacSha256(keys.hmac.reveal())(text).slice(0, MAC_BYTES);
}

/** What keeps the keys and codes of one user at one door apart from all others. */
function labelled(label: string, door: string, userId: number): Writer {
  const name = new TextEncoder().encode(door);
  if (name.length > 0xff) throw new RangeError(`Cannot use a name of ${name.length} bytes`);
  return new Writer(128).raw(new TextEncoder().encode(label)).u8(name.length).raw(name).u8(userId);
}

/** IPv4-mapped addresses are IPv4: that is what the server sees of a dual-stack socket. */
function unmapped(source: Readonly<Source>): Readonly<Source> {
  const { family, word0, word1, word2, word3 } = source;
  const isMapped = family === 6 && word0 === 0 && word1 === 0 && word2 === 0xffff;
  return isMapped ? { family: 4, word0: 0, word1: 0, word2: 0, word3 } : source;
}

/** Takes the same time wherever they differ. */
function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let index = 0; index < one.length; index++) {
    difference |= (one[index] as number) ^ (other[index] as number);
  }
  return difference === 0;
}

function portOffset(layout: Layout, place: number, value: number): number {
  return layout === "window" ? value : VALUES * place + value;
}

/** The key that a secret is in the form of `keyText`; capitals and blanks for hyphens do not matter. */
function generatedKey(secret: Secret): Secret | undefined {
  const text = new TextDecoder().decode(secret.reveal()).trim().toLowerCase();
  const key = parseKey(text);
  return key !== undefined && keyText(key.reveal()) === text.replaceAll(" ", "-") ? key : undefined;
}

/** HKDF-SHA-256 (RFC 5869): 64 bytes, without the optional info. */
function hkdf(crypto: KnockCrypto, key: Uint8Array, salt: Uint8Array): Bytes {
  const expand = crypto.hmacSha256(crypto.hmacSha256(salt)(key));
  const first = expand(new Uint8Array([1]));
  const second = expand(new Writer(33).raw(first).u8(2).bytes());
  return new Writer(64).raw(first).raw(second).bytes();
}
