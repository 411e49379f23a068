// Bounds log lines that strangers can cause: so many a second, the others counted.

export interface Throttle {
  /** May one more line be written now? If not, it is counted as left out. */
  admit(nowMs: number): boolean;
  /** Lines left out in seconds that are over; each is told once. */
  takeOmitted(nowMs: number): number;
  /** When there will be something to take, or undefined. */
  readonly dueMs: number | undefined;
}

/** A throttle that admits `perSecond` lines in each second. */
export function createThrottle(perSecond: number): Throttle {
  let startMs = Number.NEGATIVE_INFINITY;
  let admitted = 0;
  let omitted = 0;
  // Of seconds before the one that began at startMs.
  let omittedBefore = 0;
  return {
    admit(nowMs) {
      if (nowMs - startMs >= 1_000) {
        startMs = nowMs;
        omittedBefore += omitted;
        admitted = 0;
        omitted = 0;
      }
      if (admitted < perSecond) {
        admitted++;
        return true;
      }
      omitted++;
      return false;
    },
    takeOmitted(nowMs) {
      const over = nowMs - startMs >= 1_000;
      const count = omittedBefore + (over ? omitted : 0);
      omittedBefore = 0;
      if (over) omitted = 0;
      return count;
    },
    get dueMs() {
      if (omittedBefore > 0) return startMs; // it is due already
      return omitted > 0 ? startMs + 1_000 : undefined;
    },
  };
}
