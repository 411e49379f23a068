// A shell command line to simple commands and their words: quotes, separators, redirections. What only
// a shell can know ($x, $(…), `…`) stays in its word as written. Pure; runs nothing.

/** Words of one simple command; `|` stands as a word of its own, (, ), {, } as well. */
export type SimpleCommand = readonly string[];

/**
 * The simple commands of a line, in order; what joins them (`&&`, `;`, `||`, `&`) is not kept, and
 * redirections are left out.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { simpleCommands } from "./shell_words.ts";
 * assert.deepEqual(simpleCommands("a 'b c' >/dev/null 2>&1 && d\\ e;"), [["a", "b c"], ["d e"]]);
 * ```
 */
export function simpleCommands(line: string): SimpleCommand[] {
  const commands: string[][] = [[]];
  let word = "";
  let inWord = false;
  let redirected = false;
  const endWord = () => {
    if (inWord && !redirected) commands.at(-1)?.push(word);
    if (inWord) redirected = false;
    [word, inWord] = ["", false];
  };
  for (let at = 0; at < line.length; at++) {
    const rest = line.slice(at, at + 3);
    const char = line.charAt(at);
    const substitution = char === "`" || rest.startsWith("$(");
    const redirection = inWord && !/^\d+$/.test(word) ? /^[<>]/.exec(rest) : /^(&?>|<)/.exec(rest);
    if (char === "'") {
      const end = endOf(line, "'", at + 1);
      [word, inWord] = [word + line.slice(at + 1, end), true];
      at = end;
    } else if (char === '"') {
      const end = endOfDoubleQuotes(line, at + 1);
      [word, inWord] = [word + line.slice(at + 1, end).replace(/\\(["\\$`])/g, "$1"), true];
      at = end;
    } else if (substitution) {
      const end = char === "`" ? endOf(line, "`", at + 1) : endOfParentheses(line, at + 1);
      [word, inWord] = [word + line.slice(at, end + 1), true];
      at = end;
    } else if (char === "\\") {
      [word, inWord] = [word + line.charAt(++at), true];
    } else if (redirection !== null) {
      // A number right before it is the descriptor.
      if (/^\d+$/.test(word)) [word, inWord] = ["", false];
      endWord();
      at += (/^&?[<>]+[&|]?/.exec(line.slice(at))?.[0].length ?? 1) - 1;
      redirected = true;
    } else if (/[;&\n]/.test(char) || rest.startsWith("||")) {
      endWord();
      redirected = false;
      commands.push([]);
    } else if (/[|(){}]/.test(char) && !/[{}]/.test(char)) {
      endWord();
      if (line.charAt(at - 1) !== "|") commands.at(-1)?.push(char);
    } else if (/\s/.test(char)) {
      endWord();
    } else {
      [word, inWord] = [word + char, true];
    }
  }
  endWord();
  return commands.filter((command) => command.length > 0 && command.join() !== "|");
}

/** Does the word hold what only a shell can know? */
export function isOpaque(word: string): boolean {
  return /[`$]/.test(word);
}

function endOf(line: string, mark: string, from: number): number {
  const at = line.indexOf(mark, from);
  return at === -1 ? line.length : at;
}

function endOfDoubleQuotes(line: string, from: number): number {
  for (let at = from; at < line.length; at++) {
    if (line[at] === "\\") at++;
    else if (line[at] === '"') return at;
  }
  return line.length;
}

function endOfParentheses(line: string, from: number): number {
  let depth = 0;
  for (let at = from; at < line.length; at++) {
    if (line[at] === "(") depth++;
    else if (line[at] === ")" && --depth === 0) return at;
  }
  return line.length;
}
