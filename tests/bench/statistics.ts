// Median and percentiles of measured values: the nearest rank, never an interpolated value, so that
// each figure in a table has really occurred.

/** The value at `share` (0 to 1) of the sorted values; NaN for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
