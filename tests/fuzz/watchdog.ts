// A worker that looks from outside whether the fuzzer goes on: an input on which a decoder never ends
// would otherwise end nothing and tell nothing. It can only tell; the seed leads back to the input.

/// <reference lib="deno.worker" />

const STUCK_MS = 10_000;

/** What the worker is sent once. */
export interface Watched {
  /** Index of the target, and inputs that it has had. */
  readonly at: Int32Array;
  readonly names: readonly string[];
  readonly seed: number;
}

if (typeof WorkerGlobalScope !== "undefined") {
  self.onmessage = ({ data }: MessageEvent<Watched>) => {
    const { at, names, seed } = data;
    let last = "";
    setInterval(() => {
      const now = `${names[at[0] ?? 0]} --seed ${seed} --inputs ${(at[1] ?? 0) + 1}`;
      if (now === last) console.error(`stuck for ${STUCK_MS / 1_000} s: --only ${now}`);
      last = now;
    }, STUCK_MS);
  };
}
