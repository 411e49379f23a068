// A process that takes steps until it is killed, and prints each after it was taken:
// FOLDER FIRST [COUNT]

import { openUsedSteps } from "../../src/daemon/used_steps.ts";

const [folder = "", first = "0", count = "Infinity"] = Deno.args;
const end = Number(first) + Number(count);
// So few that the file is written anew again and again.
using steps = openUsedSteps(folder, 16);
const encoder = new TextEncoder();
for (let step = Number(first); step < end; step++) {
  const taken = steps.take([{ door: "ssh", who: "192.0.2.1", step }, {
    door: "admin",
    who: "alice",
    step,
  }]);
  if (taken.every(Boolean)) Deno.stdout.writeSync(encoder.encode(`${step}\n`));
}
