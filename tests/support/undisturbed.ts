// What a test says of times cannot be seen on a machine that stands still in the middle of it, as
// virtual ones do when their host has other work.

/** How often this looks at the clock, and how late it may be. */
const LOOK_MS = 50;
const STILL_MS = 250;
const ATTEMPTS_MAX = 5;

/**
 * Does the work, which asserts something about times. Where it fails and nothing ran on this machine for
 * a while meanwhile, that is said, and all of it is done once more. Otherwise the failure is one.
 */
export async function undisturbed(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1;; attempt++) {
    const stillMs = watchClock();
    try {
      return await work();
    } catch (error) {
      const longest = stillMs();
      if (longest < STILL_MS || attempt === ATTEMPTS_MAX) throw error;
      console.log(`The machine stood still for ${Math.round(longest)} ms, so once more:`, error);
    } finally {
      stillMs();
    }
  }
}

/** Looks at the clock until it is asked: the longest time in which nothing ran, in ms. */
function watchClock(): () => number {
  let [longest, last] = [0, performance.now()];
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last - LOOK_MS);
    last = now;
  };
  const timer = setInterval(look, LOOK_MS);
  return () => {
    look();
    clearInterval(timer);
    return longest;
  };
}
