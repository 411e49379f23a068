// From an offset in a text to line, column and a drawing of the place, as compilers show it.

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  /** The line with a mark under the place. */
  readonly excerpt: string;
}

/** Columns of a line that are shown. */
const WIDTH = 96;

/** Finds offsets in one text. */
export function positionsIn(text: string): (start: number, end: number) => Position {
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
    lineStarts.push(at + 1);
  }
  return (start, end) => {
    const from = Math.max(0, Math.min(start, text.length));
    const line = lineOf(lineStarts, from);
    const lineStart = lineStarts[line - 1] ?? 0;
    const lineEnd = (lineStarts[line] ?? text.length + 1) - 1;
    const shown = text.slice(lineStart, lineEnd).replace(/\r$/, "");
    const before = [...text.slice(lineStart, from)].length;
    const marked = [...text.slice(from, Math.min(Math.max(from, end), lineEnd)).trimEnd()].length;
    return { line, column: before + 1, excerpt: draw(line, shown, before, marked) };
  };
}

/** Number of the last line that starts at the offset or before. */
function lineOf(lineStarts: readonly number[], offset: number): number {
  let low = 0;
  let high = lineStarts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((lineStarts[middle] ?? Infinity) <= offset) low = middle;
    else high = middle;
  }
  return low + 1;
}

function draw(line: number, text: string, before: number, marked: number): string {
  const characters = [...visible(text)];
  const fits = characters.length <= WIDTH || before < WIDTH * 2 / 3;
  const cut = fits ? 0 : before - Math.floor(WIDTH / 2);
  const end = cut + WIDTH;
  const shown = (cut > 0 ? "…" : "") + characters.slice(cut, end).join("") +
    (characters.length > end ? "…" : "");
  const indent = before - cut + (cut > 0 ? 1 : 0);
  const carets = "^".repeat(Math.max(1, Math.min(marked, end - before)));
  const number = String(line).padStart(6);
  return `${number} | ${shown}\n${" ".repeat(number.length)} | ${" ".repeat(indent)}${carets}`;
}

/** Nothing that moves the cursor or turns the direction of writing; a tab is as wide as a blank. */
function visible(text: string): string {
  return text.replace(/\t/g, " ").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");
}
