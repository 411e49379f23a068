// What must be on disk before a grant is written: that a sequence which is valid once was used.
//
// **Invariant:** where that cannot be written, nothing opens.

import type { Door, Knock } from "../config/config.ts";
import { HostError, KernelError } from "../errors.ts";
import { formatAddress } from "../packet/address.ts";
import type { Source } from "../packet/header.ts";
import type { Use, UsedSteps } from "./used_steps.ts";

/** A sequence that was completed. */
export interface Opening {
  readonly door: Door;
  readonly source: Readonly<Source>;
  /** Of a one-time sequence: its line in the file. */
  readonly line: string | undefined;
  /** Of a sequence that follows from the time: its step. */
  readonly timeStep: number | undefined;
  readonly user: string | undefined;
}

/** Why an opening opens nothing. `error` is a fault of the host, otherwise it is refused as used. */
export interface Refused {
  readonly reason: string;
  readonly error: boolean;
}

export interface AdmissionOptions {
  /** Where used steps are kept; undefined where no door needs it. */
  readonly used: () => UsedSteps | undefined;
  /** Crosses a line out of a file; false where it is no longer there. Throws KernelError. */
  readonly crossOut: (file: string, line: string) => boolean;
}

/** Notes on disk what these openings use up; for each why it is refused, or undefined. */
export type Admission = (openings: readonly Opening[]) => (Refused | undefined)[];

const USED = "this step of the sequence has opened the door before";
const TOO_OLD = "this step is older than those that are remembered: look at the clock of this host";

export function createAdmission({ used, crossOut }: AdmissionOptions): Admission {
  const admitLine = ({ door: { knock }, line }: Opening): Refused | undefined => {
    if (knock.kind !== "one-time" || line === undefined) return undefined;
    const reason = "the sequence was used before, or is no longer in its file";
    return attempt(() => crossOut(knock.file, line) ? undefined : { reason, error: false });
  };

  const admitSteps = (openings: readonly Opening[]): (Refused | undefined)[] => {
    if (openings.length === 0) return [];
    const store = used();
    if (store === undefined) {
      const reason = "there is nowhere to note that the step was used";
      return openings.map(() => ({ reason, error: true }));
    }
    try {
      const uses = openings.map(useOf);
      return store.take(uses).map((isNew, index) => {
        if (isNew) return undefined;
        const { door, step } = uses[index] as Use;
        const forgotten = step <= (store.floor(door) ?? -Infinity);
        return { reason: forgotten ? TOO_OLD : USED, error: false };
      });
    } catch (error) {
      const refused = refusedBy(error);
      return openings.map(() => refused);
    }
  };

  return (openings) => {
    const timed = openings.filter(({ timeStep }) => timeStep !== undefined);
    const steps = admitSteps(timed);
    return openings.map((opening) =>
      opening.timeStep === undefined ? admitLine(opening) : steps[timed.indexOf(opening)]
    );
  };
}

/** The length of its steps is part of the door: another one counts anew. */
function useOf({ door: { name, knock }, source, timeStep = 0, user }: Opening): Use {
  const unbound = knock.kind === "rotating" && !knock.bindSource;
  const door = knock.kind === "rotating" ? `${name}/${knock.stepMs}` : name;
  const who = user === undefined ? unbound ? "" : formatAddress(source) : userOf(knock, user);
  return { door, who, step: timeStep };
}

/** The number, which the message has in it: a name can be changed. */
function userOf(knock: Knock, name: string): string {
  const users = knock.kind === "encrypted" ? knock.users : [];
  return `user ${users.find((user) => user.name === name)?.id ?? name}`;
}

function attempt(work: () => Refused | undefined): Refused | undefined {
  try {
    return work();
  } catch (error) {
    return refusedBy(error);
  }
}

function refusedBy(error: unknown): Refused {
  if (!(error instanceof KernelError) && !(error instanceof HostError)) throw error;
  return { reason: `it cannot be noted as used: ${error.message}`, error: true };
}
