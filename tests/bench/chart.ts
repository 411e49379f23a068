// The results with a target as bars, as SVG text for the README: grouped by scenario, above what has
// to reach its line, below what must not pass it. Of results with the same label the worst is drawn.
// Colours follow the reader's light or dark scheme, and what misses its target says so in words.

import { isMet, type Result } from "./report.ts";

/** A result that is drawn. */
type Bar = Result & Required<Pick<Result, "chart" | "target">>;

interface Section {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 880,
  MARGIN = 16,
  LABEL_WIDTH = 390,
  SCALE_X = MARGIN + LABEL_WIDTH,
  SCALE_WIDTH = 290;
/** The scale ends here; a longer bar is cut. */
const SCALE_MAX = 1.25;
const ROW = 20, BAR = 11, GROUP = 30, SECTION = 44;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 15px; font-weight: 600; }
  .group { font-weight: 600; }
  .note, .scale { fill: #57606a; }
  .back { fill: #ffffff; }
  .track { fill: #eaeef2; }
  .met { fill: #2f81c7; }
  .missed { fill: #d1570b; }
  .line { stroke: #24292f; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note, .scale { fill: #9198a1; }
    .back { fill: #0d1117; }
    .track { fill: #262c36; }
    .met { fill: #4a9fe8; }
    .missed { fill: #f0883e; }
    .line { stroke: #e6edf3; }
  }`;

/** The chart; `note` stands below its title. */
export function chart(results: readonly Result[], note: string): string {
  const bars = worstOfEach(results.filter(isBar));
  const sections: readonly Section[] = [
    {
      title: "At least: each bar should reach its line",
      bars: bars.filter((bar) => "atLeast" in bar.target),
    },
    {
      title: "At most: no bar should pass its line",
      bars: bars.filter((bar) => "atMost" in bar.target),
    },
  ];
  const body: string[] = [];
  let y = MARGIN + 14;
  body.push(text(MARGIN, y, "title", "pk, measured beside its references in the same run"));
  body.push(text(MARGIN, y += 20, "note", note));
  for (const section of sections.filter((one) => one.bars.length > 0)) {
    body.push(text(MARGIN, y += SECTION - 8, "title", section.title));
    for (const scenario of new Set(section.bars.map((bar) => bar.scenario))) {
      body.push(text(MARGIN, y += GROUP, "group", scenario));
      for (const bar of section.bars.filter((one) => one.scenario === scenario)) {
        body.push(row(bar, y += ROW));
      }
    }
  }
  const height = y + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `width="${WIDTH}" height="${height}" role="img" aria-label="pk measured: bars with targets">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="back" width="${WIDTH}" height="${height}" rx="6"/>`,
    ...body,
    "</svg>",
    "",
  ].join("\n");
}

function isBar(result: Result): result is Bar {
  return result.chart !== undefined && result.target !== undefined;
}

function worstOfEach(bars: readonly Bar[]): Bar[] {
  const worst = new Map<string, Bar>();
  for (const bar of bars) {
    const key = `${bar.scenario}: ${bar.chart}`;
    const other = worst.get(key);
    if (other === undefined || merit(bar) < merit(other)) worst.set(key, bar);
  }
  return [...worst.values()];
}

/** The more the better. */
function merit(bar: Bar): number {
  return "atLeast" in bar.target ? length(bar) : -length(bar);
}

/** Of a bar: the ratio itself, or what share it is of what is allowed. */
function length({ value, ratio, target }: Bar): number {
  const measured = ratio ?? value;
  return "atLeast" in target ? measured : measured / target.atMost;
}

function row(bar: Bar, y: number): string {
  const at = (share: number) => SCALE_X + Math.min(share, SCALE_MAX) / SCALE_MAX * SCALE_WIDTH;
  const end = Number.isFinite(length(bar)) ? at(length(bar)) : at(SCALE_MAX);
  const line = at("atLeast" in bar.target ? bar.target.atLeast : 1);
  const met = isMet(bar) === true;
  const top = y - BAR + 1;
  return [
    text(MARGIN, y, "", bar.chart),
    `<rect class="track" x="${SCALE_X}" y="${top}" width="${SCALE_WIDTH}" height="${BAR}"/>`,
    `<rect class="${met ? "met" : "missed"}" x="${SCALE_X}" y="${top}" ` +
    `width="${(end - SCALE_X).toFixed(1)}" height="${BAR}"/>`,
    `<path class="line" d="M${line.toFixed(1)} ${top - 3}v${BAR + 6}"/>`,
    text(SCALE_X + SCALE_WIDTH + 10, y, "", `${measured(bar)}${met ? "" : ", missed"}`),
  ].join("");
}

/** "0.89 of 0.75", "200 of 200", "4.1 of 5 ms". */
function measured({ value, ratio, unit, reference, target }: Bar): string {
  const limit = "atLeast" in target ? target.atLeast : target.atMost;
  if (ratio === undefined) return `${short(value)} (${short(limit)} ${unit})`;
  if (reference?.what === "of") return `${short(value)} of ${short(reference.value)}`;
  return `${ratio.toFixed(2)} (${limit})`;
}

function short(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toFixed(value < 10 ? 2 : 0)));
}

function text(x: number, y: number, name: string, words: string): string {
  const escaped = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}"${name && ` class="${name}"`}>${escaped}</text>`;
}
