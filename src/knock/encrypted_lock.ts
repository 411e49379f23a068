// The lock of a door with encrypted sequences: collects the knocks of each source, and tries whether
// they are a message that a user of the door sealed just now, for this source. That (user, time step)
// opens once is kept outside, on disk. See PROTOCOL.md.
//
// All that a stranger can spend is bounded: sources remembered (attempts.ts), candidates a knock
// (collector.ts), decryptions a second (trial_budget.ts). Forged knocks cost one decryption by tables
// for each user (aes_sieve.ts), of which one in 1.4 billion leads to real ones.

import type { EncryptedKnock } from "../config/config.ts";
import {
  ATTEMPTS_PER_PREFIX_MAX,
  ENCRYPTED_BURST_MS,
  ENCRYPTED_PAUSE_MS,
  ENCRYPTED_SHARE_MAX,
  ENCRYPTED_SOURCES_MAX,
  ENCRYPTED_TRIALS_PER_SECOND,
  REPEATED_MS,
} from "../limits.ts";
import type { PacketHeader, Source } from "../packet/header.ts";
import { AesSieve, type Block } from "./aes_sieve.ts";
import { Attempts, NONE } from "./attempts.ts";
import { type Collector, collectorOf } from "./collector.ts";
import type { KnockCrypto } from "./crypto.ts";
import {
  MESSAGE_BYTES,
  type MessageKeys,
  messageOpener,
  type OpenMessage,
  portsOf,
  stepAt,
  stepOf,
} from "./encrypted_message.ts";
import { IPPROTO_TCP } from "../packet/protocol.ts";
import type { EventTime, Lock, LockEffect } from "./lock.ts";
import { halfSipHash, type HashKey } from "./siphash.ts";
import { type Likelihood, TrialBudget } from "./trial_budget.ts";

export interface LockUser {
  /** 0 to 255. */
  readonly id: number;
  readonly name: string;
  readonly keys: MessageKeys;
}

export interface EncryptedLockOptions {
  readonly crypto: KnockCrypto;
  /** Name of the door. */
  readonly door: string;
  readonly layout: EncryptedKnock["layout"];
  /** First port of the range. */
  readonly firstPort: number;
  readonly users: readonly LockUser[];
  /** From the first knock to the last. */
  readonly withinMs: number;
  /** Random words that nobody on the network knows. */
  readonly key: HashKey;
  readonly sourcesMax?: number;
  readonly trialsPerSecond?: number;
}

interface Listed {
  readonly id: number;
  readonly name: string;
  readonly open: OpenMessage;
}

export class EncryptedLock implements Lock {
  readonly #firstPort: number;
  readonly #ports: number;
  readonly #users: readonly Listed[];
  readonly #withinMs: number;
  readonly #key: HashKey;
  readonly #sieve: AesSieve;
  readonly #budget: TrialBudget;
  readonly #attempts: Attempts;
  readonly #collector: Collector;
  /** How often each slot had a later candidate tried. */
  readonly #tried: Uint16Array;
  readonly #block: Block = { word0: 0, word1: 0, word2: 0, word3: 0 };
  readonly #effect: LockEffect = {
    stage: MESSAGE_BYTES,
    of: MESSAGE_BYTES,
    timeStep: 0,
    user: undefined,
  };
  #unjudged = 0;

  constructor(options: EncryptedLockOptions) {
    const { sourcesMax: slots = ENCRYPTED_SOURCES_MAX, crypto, door, withinMs, key } = options;
    this.#firstPort = options.firstPort;
    this.#ports = portsOf(options.layout);
    this.#users = options.users.map(({ id, name, keys }) => (
      { id, name, open: messageOpener(crypto, { keys, door, userId: id }) }
    ));
    this.#withinMs = withinMs;
    this.#key = key;
    this.#sieve = new AesSieve(options.users.map(({ keys }) => keys.aes.reveal()));
    const trialsPerSecond = options.trialsPerSecond ?? ENCRYPTED_TRIALS_PER_SECOND;
    const perSecond = trialsPerSecond / Math.max(1, options.users.length);
    this.#budget = new TrialBudget(perSecond, perSecond * ENCRYPTED_BURST_MS / 1000);
    this.#attempts = new Attempts({
      slots,
      stages: MESSAGE_BYTES + 1,
      perPrefix: ATTEMPTS_PER_PREFIX_MAX,
      lifetimeMs: withinMs,
      key,
    });
    this.#collector = collectorOf(options.layout, { slots, withinMs });
    this.#tried = new Uint16Array(slots);
  }

  step(packet: Readonly<PacketHeader>, time: EventTime): Readonly<LockEffect> | undefined {
    const offset = packet.destinationPort - this.#firstPort;
    if (!(offset >= 0 && offset < this.#ports)) return undefined;
    const slot = this.#take(packet, time.nowMs);
    if (slot === NONE) return undefined;
    const progress = this.#collector.add(slot, offset, time.nowMs);
    if (progress === "incomplete") return undefined;
    this.#budget.refill(time.nowMs);
    return this.#judge(slot, progress, packet, time) ? this.#effect : undefined;
  }

  setBack(source: Readonly<Source>): void {
    const slot = this.#attempts.findAttempt(source, 0);
    if (slot !== NONE) this.#attempts.remove(slot);
  }

  takeUnjudged(): number {
    const unjudged = this.#unjudged;
    this.#unjudged = 0;
    return unjudged;
  }

  /** The slot of a source that has knocked anew; NONE for a repeated packet. */
  #take(packet: Readonly<PacketHeader>, nowMs: number): number {
    const attempts = this.#attempts;
    const identity = this.#identity(packet);
    let slot = attempts.findAttempt(packet, 0);
    const silentMs = slot === NONE ? Infinity : nowMs - attempts.startMs(slot);
    if (silentMs > REPEATED_MS) {
      if (slot !== NONE) attempts.remove(slot);
      slot = attempts.begin(packet, 0, nowMs);
      this.#clear(slot);
    } else if (identity !== undefined && attempts.hasSeen(slot, identity)) return NONE;
    else if (silentMs > this.#withinMs) {
      this.#clear(slot);
      attempts.advance(slot, 1);
    } else {
      if (silentMs > ENCRYPTED_PAUSE_MS) this.#collector.pause(slot);
      attempts.advance(slot, Math.min(attempts.stage(slot) + 1, MESSAGE_BYTES));
    }
    attempts.restart(slot, nowMs);
    if (identity !== undefined) attempts.remember(slot, identity);
    return slot;
  }

  /** By what a repeated packet is known. TCP alone repeats one by itself. */
  #identity(packet: Readonly<PacketHeader>): number | undefined {
    if (packet.protocol !== IPPROTO_TCP) return undefined;
    const ports = packet.sourcePort << 16 | packet.destinationPort;
    return halfSipHash(this.#key, ports, packet.sequence);
  }

  #clear(slot: number): void {
    this.#collector.clear(slot);
    this.#tried[slot] = 0;
  }

  /** Tries the candidates of a slot, the likeliest first, as far as the budget goes. */
  #judge(slot: number, progress: Likelihood, source: Readonly<Source>, time: EventTime): boolean {
    const stepNow = stepAt(time.unixMs);
    const chance = halfSipHash(this.#key, source.word3, time.nowMs) / 2 ** 32;
    for (let index = 0; index < this.#collector.candidatesMax; index++) {
      if (!this.#collector.candidate(slot, index, time.nowMs, this.#block)) continue;
      if (!this.#afford(slot, index === 0 ? progress : "unlikely", chance)) {
        this.#unjudged++;
        return false;
      }
      if (this.#try(source, stepNow)) {
        this.#clear(slot);
        return true;
      }
    }
    return false;
  }

  #afford(slot: number, likelihood: Likelihood, chance: number): boolean {
    const had = this.#tried[slot] as number;
    if (!this.#budget.take(likelihood, had, chance)) return false;
    if (likelihood === "later" && had < ENCRYPTED_SHARE_MAX) this.#tried[slot] = had + 1;
    return true;
  }

  /** Is the block a message of some user? Then the effect says whose, and of when. */
  #try(source: Readonly<Source>, stepNow: number): boolean {
    for (let index = 0; index < this.#users.length; index++) {
      const { id, name, open } = this.#users[index] as Listed;
      const word = this.#sieve.firstWord(index, this.#block);
      if (stepOf(word, id, stepNow) === undefined) continue;
      const step = open(blockBytes(this.#block), source, stepNow);
      if (step === undefined) continue;
      this.#effect.timeStep = step;
      this.#effect.user = name;
      return true;
    }
    return false;
  }
}

function blockBytes({ word0, word1, word2, word3 }: Block): Uint8Array {
  const view = new DataView(new ArrayBuffer(MESSAGE_BYTES));
  [word0, word1, word2, word3].forEach((word, index) => view.setInt32(4 * index, word));
  return new Uint8Array(view.buffer);
}
