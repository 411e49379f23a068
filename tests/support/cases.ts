// How a test in namespaces is declared: ignored without root, its cases side by side as steps.

import { root } from "./netns.ts";

/** A test that needs root: without it it is reported as ignored, never as passed. */
export function netnsTest(
  name: string,
  fn: (t: Deno.TestContext) => Promise<void>,
  { ignore = false } = {},
): void {
  Deno.test({
    name: root ? name : `${name} (needs root)`,
    ignore: !root || ignore,
    // Steps run side by side, which Deno allows only without these.
    sanitizeOps: false,
    sanitizeResources: false,
    sanitizeExit: false,
    fn,
  });
}

/** Runs cases as steps, all at once: most of a case is waiting. */
export async function sideBySide<Case>(
  t: Deno.TestContext,
  cases: readonly Case[],
  name: (one: Case) => string,
  fn: (one: Case) => Promise<void>,
): Promise<void> {
  await Promise.all(cases.map((one) =>
    t.step({
      name: name(one),
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
      fn: () => fn(one),
    })
  ));
}
