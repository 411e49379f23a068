// Used steps on disk: what was taken is refused for ever, whatever happens to the process and the file.

import assert from "node:assert/strict";
import fc from "fast-check";
import { HostError, KernelError } from "../../../src/errors.ts";
import { openUsedSteps, type Use } from "../../../src/daemon/used_steps.ts";
import { recordLine } from "../../../src/daemon/used_steps_file.ts";
import { folderTest, hasProgram, isRoot } from "../../support/host_files.ts";

const ssh = (step: number, who = "192.0.2.1"): Use => ({ door: "ssh", who, step });
const child = (name: string) => new URL(`../../support/${name}`, import.meta.url).pathname;

/** What one process says of uses. */
function takeOnce(folder: string, uses: readonly Use[], usesMax?: number): boolean[] {
  using steps = openUsedSteps(folder, usesMax);
  return steps.take(uses);
}

folderTest("take() says true once, to the first of equal ones", (folder) => {
  using steps = openUsedSteps(folder);
  assert.deepEqual(steps.take([ssh(7), ssh(7), ssh(8), ssh(7, "2001:db8::1")]), [
    true,
    false,
    true,
    true,
  ]);
  assert.deepEqual(steps.take([ssh(7), ssh(9), { ...ssh(7), door: "admin" }]), [false, true, true]);
  steps[Symbol.dispose]();
  assert.deepEqual(takeOnce(folder, [ssh(7), ssh(8), ssh(9), ssh(10)]), [
    false,
    false,
    false,
    true,
  ]);
});

folderTest("take() refuses what is no step", (folder) => {
  assert.deepEqual(takeOnce(folder, [ssh(NaN), ssh(-1), ssh(1.5), ssh(2 ** 53), ssh(0)]), [
    false,
    false,
    false,
    false,
    true,
  ]);
});

folderTest("openUsedSteps() makes folder and file for nobody else", (folder) => {
  takeOnce(`${folder}/state`, [ssh(1)]);
  const mode = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o7777;
  assert.equal(mode(`${folder}/state`), 0o700);
  assert.equal(mode(`${folder}/state/used-steps`), 0o600);
});

folderTest("every name and step comes back from disk", (folder) => {
  const use = fc.record({
    door: fc.string({ unit: "binary" }),
    who: fc.string({ unit: "binary" }),
    step: fc.maxSafeNat(),
  });
  let count = 0;
  fc.assert(
    fc.property(fc.array(fc.array(use, { maxLength: 5 }), { maxLength: 5 }), (batches) => {
      const state = `${folder}/${count++}`;
      const known = new Set<string>();
      for (const batch of batches) {
        const expected = batch.map(({ door, who, step }) => {
          const key = JSON.stringify({ door, who, step });
          return !known.has(key) && known.add(key) !== undefined;
        });
        assert.deepEqual(takeOnce(state, batch), expected);
      }
    }),
    { numRuns: 25 },
  );
});

folderTest("a line cut short at any byte is cut off, and every whole one counts", (folder) => {
  const uses = [1, 2, 3, 4].map((step) => ssh(step));
  using steps = openUsedSteps(folder);
  for (const use of uses) steps.take([use]);
  const path = `${folder}/used-steps`;
  const whole = Deno.readFileSync(path);
  const ends = [...whole.keys()].filter((at) => whole[at] === 0x0a).map((at) => at + 1);
  const [headerEnd = 0] = ends;
  assert.equal(ends.length, 5);
  for (let length = 0; length <= whole.length; length++) {
    Deno.writeFileSync(path, whole.subarray(0, length));
    if (length < headerEnd) {
      assert.throws(() => takeOnce(folder, []), HostError);
      continue;
    }
    const expected = uses.map((_, index) => length < (ends[index + 1] ?? 0));
    assert.deepEqual(takeOnce(folder, uses), expected, `${length} bytes`);
    assert.deepEqual(takeOnce(folder, uses), uses.map(() => false), `${length} bytes, again`);
  }
});

folderTest("a flipped bit anywhere is damage, and nothing is forgotten in silence", (folder) => {
  takeOnce(folder, [ssh(1), ssh(2), ssh(3), ssh(4)], 4);
  takeOnce(folder, [ssh(5)], 4); // forgets some, so that there is a floor
  const path = `${folder}/used-steps`;
  const whole = Deno.readFileSync(path);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const damaged = whole.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    Deno.writeFileSync(path, damaged);
    assert.throws(() => takeOnce(folder, [ssh(6)]), HostError, `bit ${bit}`);
    assert.deepEqual(Deno.readFileSync(path), damaged, "a damaged file is left as it is");
  }
});

folderTest("a record that pk does not write is damage, whatever its checksum", (folder) => {
  takeOnce(folder, [ssh(1)]);
  const path = `${folder}/used-steps`;
  const whole = Deno.readTextFileSync(path);
  for (
    const text of [
      '["ssh","me",2',
      "null",
      "{}",
      '["ssh", "me", 2]',
      '["ssh",7,2]',
      '["ssh","me",7,2]',
    ]
  ) {
    Deno.writeTextFileSync(path, whole + recordLine(text));
    assert.throws(() => takeOnce(folder, []), HostError, text);
  }
});

folderTest("lost bytes in the middle are damage, with the line and what to do", (folder) => {
  using steps = openUsedSteps(folder);
  for (let step = 0; step < 20; step++) steps.take([ssh(step)]);
  const path = `${folder}/used-steps`;
  const whole = Deno.readFileSync(path);
  Deno.writeFileSync(path, whole.slice().fill(0, 300, 320));
  assert.throws(() => takeOnce(folder, [ssh(99)]), (error) => {
    assert.ok(error instanceof HostError);
    assert.match(error.message, /used-steps: line \d+ is damaged/);
    assert.match(error.hint, /mv .*used-steps /);
    return true;
  });
  // What the hint says works without a restart.
  using waiting = openUsedSteps(folder);
  assert.throws(() => waiting.take([]), HostError);
  Deno.renameSync(path, `${path}.damaged`);
  assert.deepEqual(waiting.take([ssh(99)]), [true]);
});

folderTest(
  "of too many the oldest are forgotten, and all as old are refused for ever",
  (folder) => {
    using steps = openUsedSteps(folder, 8);
    for (let step = 100; step < 109; step++) {
      assert.deepEqual(steps.take([ssh(step)]), [true]);
    }
    assert.equal(steps.floor("ssh"), 103);
    assert.equal(steps.floor("admin"), undefined);
    const late = [ssh(100), ssh(103, "2001:db8::9"), ssh(3), ssh(104), ssh(104, "2001:db8::9")];
    assert.deepEqual(steps.take(late), [false, false, false, false, true]);
    assert.deepEqual(steps.take([{ ...ssh(3), door: "admin" }]), [true]);
    steps[Symbol.dispose]();
    assert.deepEqual(takeOnce(folder, late, 8), [false, false, false, false, false]);
    assert.ok(Deno.readTextFileSync(`${folder}/used-steps`).split("\n").length < 12);
  },
);

folderTest("no step opens twice, however many there are and whatever the clock does", (folder) => {
  const step = fc.record({ step: fc.nat({ max: 40 }), who: fc.constantFrom("a", "b") });
  let count = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat({ max: 12 }), (uses, usesMax) => {
      const state = `${folder}/${count++}`;
      using steps = openUsedSteps(state, usesMax);
      const opened = new Set<string>();
      for (const [index, { step, who }] of uses.entries()) {
        if (index % 7 === 6) steps[Symbol.dispose](); // a restart
        if (steps.take([ssh(step, who)])[0]) {
          const key = `${step} ${who}`;
          assert.ok(!opened.has(key), `${key} opened twice`);
          opened.add(key);
        }
      }
    }),
    { numRuns: 20 },
  );
});

folderTest("a file that somebody removes or changes under pk's hands is written anew", (folder) => {
  const path = `${folder}/used-steps`;
  using steps = openUsedSteps(folder);
  steps.take([ssh(1)]);
  const interferences = [
    () => Deno.removeSync(path),
    () => Deno.truncateSync(path, 3),
    () => Deno.renameSync(path, `${path}.old`),
    () => Deno.writeTextFileSync(path, "more", { append: true }),
    () => Deno.removeSync(folder, { recursive: true }),
  ];
  for (const [index, interfere] of interferences.entries()) {
    interfere();
    assert.deepEqual(steps.take([ssh(1), ssh(index + 2)]), [false, true]);
    const known = Array.from({ length: index + 2 }, (_, step) => ssh(step + 1));
    assert.deepEqual(takeOnce(folder, known), known.map(() => false), String(interfere));
  }
});

folderTest("a symbolic link in the place of the file opens nothing", (folder) => {
  Deno.writeTextFileSync(`${folder}/other`, "precious");
  Deno.symlinkSync(`${folder}/other`, `${folder}/used-steps`);
  assert.throws(() => takeOnce(folder, [ssh(1)]));
  assert.equal(Deno.readTextFileSync(`${folder}/other`), "precious");
});

folderTest("a symbolic link to nothing is told before the first use", (folder) => {
  Deno.symlinkSync(`${folder}/nowhere`, `${folder}/used-steps`);
  assert.throws(() => takeOnce(folder, []), /ELOOP.*symbolic link to nothing/);
});

folderTest(
  "kill -9 at any moment: every step that was taken is refused afterwards",
  async (folder) => {
    const printed: number[] = [];
    for (let round = 0; round < 6; round++) {
      const process = startChild(folder, round * 1_000_000);
      const lines = linesOf(process);
      try {
        const first = await lines.next();
        assert.equal(first.done, false);
        printed.push(Number(first.value));
        assert.throws(() => takeOnce(folder, [ssh(1)]), /process \d+ keeps its used steps there/);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
      } finally {
        process.kill("SIGKILL");
      }
      for await (const line of lines) printed.push(Number(line));
      await process.status;
      assert.deepEqual(
        takeOnce(
          folder,
          printed.flatMap((step) => [ssh(step), { ...ssh(step, "alice"), door: "admin" }]),
        ),
        printed.flatMap(() => [false, false]),
      );
    }
    assert.ok(printed.length > 12, `${printed.length} steps were taken`);
  },
);

folderTest(
  "a full disk: take() throws, nothing is forgotten, and it goes on when there is room",
  async (folder) => {
    const script =
      `mount -t tmpfs -o size=512k pk "$1" && exec "$2" run --allow-all --no-check "$3" "$1"`;
    const { stdout, stderr } = await new Deno.Command("unshare", {
      args: ["-m", "sh", "-c", script, "sh", folder, Deno.execPath(), child("full_disk_child.ts")],
    }).output();
    const text = new TextDecoder();
    assert.match(text.decode(stdout), /^\{/, text.decode(stderr));
    const { taken, ...rest } = JSON.parse(text.decode(stdout));
    assert.deepEqual(rest, {
      ended: "ENOSPC",
      again: "ENOSPC",
      full: "ENOSPC",
      rewriting: "ENOSPC",
      files: ["filler", "lock", "used-steps"],
      withRoom: "true",
      forgotten: 0,
      forgottenInTheEnd: 0,
    });
    assert.ok(taken > 1_000, `${taken} steps were taken`);
  },
  { ignore: !isRoot },
);

folderTest("each take is on disk before it returns: one fsync", async (folder) => {
  const trace = `${folder}/trace`;
  const { success } = await new Deno.Command("strace", {
    args: ["-f", "-o", trace, "-e", "trace=write,fsync,rename", Deno.execPath(), "run"]
      .concat("--allow-all", "--no-check", child("used_steps_child.ts"))
      .concat(`${folder}/state`, "100", "40"),
    stdout: "null",
    stderr: "null",
  }).output();
  assert.ok(success);
  // F fsync, R rename, W a record, P a step printed
  const calls = Deno.readTextFileSync(trace).split("\n").map((line) => {
    if (/fsync\(\d+\)\s+= 0/.test(line)) return "F";
    if (/rename\(.*= 0/.test(line)) return "R";
    if (/write\(\d+, "(\[|pk used)/.test(line)) return "W";
    return /write\(1, "\d+\\n"/.test(line) ? "P" : "";
  }).join("");
  assert.match(calls, /^(WFRFP|WFP){40}F*$/);
  assert.match(calls, /(WFP){3}WFRFP/, "both ways of writing were seen");
}, { ignore: !hasProgram("strace") });

folderTest("a folder that cannot be made is a refusal by the kernel", (folder) => {
  Deno.writeTextFileSync(`${folder}/file`, "");
  using steps = openUsedSteps(`${folder}/file/state`);
  assert.throws(() => steps.take([ssh(1)]), KernelError);
});

function startChild(folder: string, first: number): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", child("used_steps_child.ts"), folder, String(first)],
    stdout: "piped",
  }).spawn();
}

/** Whole lines only: one that was cut short by the kill says nothing. */
async function* linesOf(process: Deno.ChildProcess): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of process.stdout) {
    const lines = `${rest}${decoder.decode(chunk)}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
