// What the bench found: a table for people and the same, with every single run, as JSON.

/** One line of the table. */
export interface Result {
  readonly scenario: string;
  /** What was measured, in words. */
  readonly what: string;
  readonly unit: string;
  readonly value: number;
  /** What it is held against, measured in the same run. */
  readonly reference?: { readonly what: string; readonly value: number };
  /** value : reference, and what was promised for it. */
  readonly ratio?: number;
  readonly target?: Target;
  /** Its bar in the chart; of results with the same the worst is drawn. */
  readonly chart?: string;
  /** What lies behind the line: repetitions, single runs, spread. */
  readonly detail?: unknown;
}

/** Of the ratio, where there is one, else of the value. */
export type Target = { readonly atLeast: number } | { readonly atMost: number };

/** A line of counting: how many of how many, where all are promised. */
export function share(
  scenario: string,
  what: string,
  unit: string,
  value: number,
  of: number,
  more: Pick<Result, "target" | "chart" | "detail"> = { target: { atLeast: 1 } },
): Result {
  const reference = { what: "of", value: of };
  return { scenario, what, unit, value, reference, ratio: value / of, ...more };
}

/** Whether a result keeps its promise; undefined when it makes none. */
export function isMet({ value, ratio, target }: Result): boolean | undefined {
  if (!target) return undefined;
  const measured = ratio ?? value;
  return "atLeast" in target ? measured >= target.atLeast : measured <= target.atMost;
}

/** The results as a table in Markdown. */
export function table(results: readonly Result[]): string {
  const rows = results.map((result) => [
    result.scenario,
    result.what,
    `${format(result.value)} ${result.unit}`,
    result.reference ? `${format(result.reference.value)} (${result.reference.what})` : "",
    result.ratio === undefined ? "" : result.ratio.toFixed(2),
    target(result),
  ]);
  const all = [["scenario", "what", "pk", "beside", "ratio", "target"], ...rows];
  const widths = all[0]?.map((_, column) =>
    Math.max(...all.map((row) => row[column]?.length ?? 0))
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = all;
  return [
    line(head),
    line(head.map((_, column) => "-".repeat(widths?.[column] ?? 0))),
    ...body.map(line),
  ]
    .join("\n");
}

/** The machine, with what makes figures of two machines differ. */
export function machine(): Readonly<Record<string, unknown>> {
  const cpu = /model name\s*: (.*)/.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  return {
    cpu,
    processors: navigator.hardwareConcurrency,
    kernel: Deno.osRelease(),
    deno: Deno.version.deno,
    load: Deno.loadavg().map((value) => Number(value.toFixed(2))),
    stolenPercent: stolenPercent(),
  };
}

/** Processor time since boot that the hypervisor gave to others. */
function stolenPercent(): number {
  const [, ...ticks] = (Deno.readTextFileSync("/proc/stat").split("\n")[0] ?? "").split(/\s+/)
    .map(Number);
  const total = ticks.reduce((sum, value) => sum + value, 0);
  return Number((100 * (ticks[7] ?? 0) / total).toFixed(1));
}

function target(result: Result): string {
  if (!result.target) return "";
  const wanted = "atLeast" in result.target
    ? `at least ${result.target.atLeast}`
    : `at most ${result.target.atMost}`;
  return `${wanted}: ${isMet(result) ? "met" : "MISSED"}`;
}

function format(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString("en-US")
    : String(Number(value.toFixed(1)));
}
