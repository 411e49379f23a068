// From a profile to the sequence that is to be knocked now. What may be knocked only once is chosen
// under a lock, and remembered on disk before it goes out.

import { type Step, SYN_ONLY, type Transport } from "../config/config.ts";
import { readKey, readPassphrase } from "../config/secret_file.ts";
import { UsageError } from "../errors.ts";
import { deriveKeys, encryptedSequence, STEP_MS } from "../knock/encrypted_message.ts";
import { rotatingSequence } from "../knock/rotating_sequence.ts";
import { formatAddress } from "../packet/address.ts";
import type { Source } from "../packet/header.ts";
import { denoFiles, HERE, requireRead } from "./files.ts";
import { stateFolder } from "./folders.ts";
import type { Here } from "./here.ts";
import type { Destination } from "./knock_sockets.ts";
import { requireKnockable } from "./knocker.ts";
import { type Memory, openMemory } from "./memory.ts";
import { firstLeft } from "./one_time_file.ts";
import { isPrivate } from "./private_address.ts";
import type { EncryptedProfile, OneTimeProfile, Profile, RotatingProfile } from "./profile.ts";
import { isSpent, nextTurn } from "./time_step.ts";

/** How long after a one-time sequence its door may still be open: longer than most grants. */
const PERHAPS_OPEN_MS = 3_600_000;

/** Fewer sequences left than this are told of. */
const FEW_SEQUENCES = 5;

/** The sequences of a profile. Until it is disposed, no other run takes one. */
export interface Sequences extends Disposable {
  /**
   * The door was opened lately, and to knock again takes what is scarce: whoever wants to connect
   * should see first whether it is open still.
   */
  readonly scarce: boolean;
  /**
   * The sequence to be knocked now. Comes back when it is time.
   *
   * @throws {UsageError | HostError}
   */
  take(): Promise<readonly Step[]>;
}

/**
 * Opens a profile's sequences.
 *
 * @throws {UsageError | HostError}
 */
export async function openSequences(
  here: Here,
  profile: Profile,
  to: Destination,
): Promise<Sequences> {
  const { knock } = profile;
  if (knock.kind === "plain") {
    return { scarce: false, take: () => plain(here, knock.steps, to), [Symbol.dispose]: () => {} };
  }
  const memory = await openMemory(stateFolder(here.env, here.os), profile.name ?? profile.door);
  const sequences = knock.kind === "one-time"
    ? oneTimeSequences(here, memory, knock, to)
    : timedSequences(here, memory, profile, knock, to);
  return { ...sequences, [Symbol.dispose]: () => memory[Symbol.dispose]() };
}

function plain(
  here: Here,
  steps: readonly Step[],
  to: Destination,
): Promise<readonly Step[]> {
  requireKnockable(here.sockets, steps, to);
  return Promise.resolve(steps);
}

function oneTimeSequences(
  here: Here,
  memory: Memory,
  { file }: OneTimeProfile,
  to: Destination,
): Pick<Sequences, "scarce" | "take"> {
  const { knockedAt } = memory.last;
  return {
    scarce: knockedAt !== undefined && Math.abs(here.now() - knockedAt) < PERHAPS_OPEN_MS,
    take: () => {
      const { steps, left, crossOut } = firstLeft(file);
      requireKnockable(here.sockets, steps, to);
      crossOut();
      memory.remember({ knockedAt: here.now() });
      if (left < FEW_SEQUENCES) here.tell(`sequences left in ${file}: ${left}`);
      return Promise.resolve(steps);
    },
  };
}

/** Sequences that follow from the time. */
function timedSequences(
  here: Here,
  memory: Memory,
  profile: Profile,
  knock: RotatingProfile | EncryptedProfile,
  to: Destination,
): Pick<Sequences, "scarce" | "take"> {
  const stepMs = knock.kind === "rotating" ? knock.stepMs : STEP_MS;
  const last = memory.last.timeStep;
  return {
    scarce: isSpent(last, here.now(), stepMs),
    take: async () => {
      const { sequenceAt } = await derived(here, profile, knock, to);
      const { timeStep, waitMs } = nextTurn(last, here.now(), stepMs);
      if (waitMs > 0) {
        here.tell(
          `each sequence opens once and the next two were knocked: waiting ${
            Math.ceil(waitMs / 1000)
          } s for a new one`,
        );
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
      memory.remember({ timeStep, knockedAt: here.now() });
      return sequenceAt(timeStep);
    },
  };
}

/** What sequences are derived with, all of it read before anything is waited for. */
async function derived(
  here: Here,
  profile: Profile,
  knock: RotatingProfile | EncryptedProfile,
  to: Destination,
): Promise<{ sequenceAt(timeStep: number): readonly Step[] }> {
  // By dynamic import: it brings Deno's part for Node along.
  const { nodeCrypto: crypto } = await import("../crypto/node_crypto.ts");
  const { door } = profile;
  const { ports } = knock;
  if (knock.kind === "rotating") {
    const { knocks, bindSource } = knock;
    const secret = requireRead(readKey(denoFiles, knock.secretFile, HERE));
    const source = bindSource ? await ownAddress(here, profile, to) : undefined;
    return {
      sequenceAt: (timeStep) =>
        stepsOf(
          ports.protocol,
          rotatingSequence({ crypto, secret, door, ports, knocks, source, timeStep }),
        ),
    };
  }
  const { userId, layout } = knock;
  const secret = requireRead(readPassphrase(denoFiles, knock.secretFile, HERE));
  const keys = await deriveKeys(crypto, secret, door, userId);
  const source = await ownAddress(here, profile, to);
  return {
    sequenceAt: (timeStep) =>
      stepsOf(
        ports.protocol,
        encryptedSequence({
          crypto,
          keys,
          door,
          userId,
          layout,
          ports,
          source,
          unixMs: timeStep * STEP_MS,
        }),
      ),
  };
}

/** The address that the server sees: what the profile says, or else the one that packets have here. */
async function ownAddress(here: Here, profile: Profile, to: Destination): Promise<Source> {
  const { address } = profile;
  if (address !== undefined) {
    if (address.family === to.address.family) return address;
    throw new UsageError(
      `Cannot use the own address ${formatAddress(address)} towards ${to.text}: ` +
        `one is of IPv4, the other of IPv6`,
      `Choose the family with -${address.family}, or write the other address into the profile`,
    );
  }
  const source = await here.sockets.sourceTowards(to);
  if (isPrivate(source) && !isPrivate(to.address)) {
    here.tell(
      `the own address ${formatAddress(source)} is private: if a router translates it (NAT), ` +
        `write the one that the server sees into the profile (address: 203.0.113.5)`,
    );
  }
  return source;
}

function stepsOf(protocol: Transport, ports: readonly number[]): readonly Step[] {
  return ports.map((port) => ({
    protocol,
    port,
    flags: SYN_ONLY,
    afterMs: 0,
    beforeMs: Infinity,
  }));
}
