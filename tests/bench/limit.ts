// The highest rate without loss: first flat out, then by halving the interval between the highest
// rate that passed and the lowest that did not. Noise of the machine loses packets too, so a rate
// counts as failed only when it has failed twice in a row.

/** One run: so many SYNs were offered, and so many of them were lost on the way. */
export interface Run {
  /** SYNs per second from the first one sent to the last one judged. */
  readonly rate: number;
  /** SYNs per second as the generator sent them. */
  readonly offeredRate: number;
  readonly offered: number;
  readonly lost: number;
}

export interface Limit<R extends Run> {
  /** The highest rate of a run without loss; 0 when there was none. */
  readonly rate: number;
  /** Every run that was made, in order. */
  readonly runs: readonly R[];
}

/** Rates to try after the flat-out one. */
const RATES_MAX = 6;

/** Finds the limit of `offer(rate)`, where rate 0 is flat out, to within `precision` of it. */
export async function findLimit<R extends Run>(
  offer: (rate: number) => Promise<R>,
  precision: number,
): Promise<Limit<R>> {
  const runs: R[] = [];
  const measure = async (rate: number) => {
    const run = await offer(rate);
    runs.push(run);
    return run;
  };
  const passes = async (rate: number) => {
    for (let attempt = 0; attempt < 2; attempt++) {
      const run = await measure(rate);
      if (run.lost === 0) return run;
    }
    return undefined;
  };

  const flatOut = await measure(0);
  if (flatOut.lost === 0) return { rate: flatOut.rate, runs };
  let best = 0;
  let fails = flatOut.offeredRate;
  // What got through flat out is near the limit: begin there.
  let next = flatOut.rate * (1 - flatOut.lost / flatOut.offered);
  for (let rates = 0; rates < RATES_MAX && fails - best > precision * fails; rates++) {
    const run = await passes(next);
    if (run) best = Math.max(best, run.rate);
    else fails = Math.min(fails, next);
    next = (best + fails) / 2;
  }
  return { rate: best, runs };
}
