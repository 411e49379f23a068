// Fills a small file system with used steps and prints what happened: FOLDER, which is that file system.

import { KernelError } from "../../src/errors.ts";
import { openUsedSteps, type UsedSteps } from "../../src/daemon/used_steps.ts";

const [folder = ""] = Deno.args;
const use = (step: number) => ({ door: "ssh", who: "192.0.2.1", step });
const isNew = (steps: UsedSteps, step: number) => steps.take([use(step)])[0];

function refusal(steps: UsedSteps, step: number): string {
  try {
    return String(isNew(steps, step));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.code;
  }
}

// As much as one rewrite takes, to be given back: two pages, wherever a page has 64 KiB.
Deno.writeFileSync(`${folder}/filler`, new Uint8Array(128 * 1024));
using steps = openUsedSteps(folder);
let taken = 0;
let ended: string;
while ((ended = refusal(steps, taken)) === "true") taken++;
const again = refusal(steps, taken);
using afterRestart = openUsedSteps(folder);
const known = Array.from({ length: taken }, (_, step) => isNew(afterRestart, step));
const full = refusal(afterRestart, taken);
using pruning = openUsedSteps(folder, 4);
const rewriting = refusal(pruning, taken);
const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
Deno.removeSync(`${folder}/filler`);
const withRoom = refusal(afterRestart, taken);
using last = openUsedSteps(folder);
const inTheEnd = Array.from({ length: taken + 1 }, (_, step) => isNew(last, step));
console.log(JSON.stringify({
  taken,
  ended,
  again,
  full,
  rewriting,
  files,
  withRoom,
  forgotten: known.filter(Boolean).length,
  forgottenInTheEnd: inTheEnd.filter(Boolean).length,
}));
