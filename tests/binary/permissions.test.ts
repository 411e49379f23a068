// What dist/pk may do, read from the executable itself: `deno compile` writes its flags into it as JSON.
// Needs dist/pk (deno task build) and strace.

import assert from "node:assert/strict";

const binary = new URL("../../dist/pk", import.meta.url);

Deno.test("dist/pk may load libraries, use files and the network, and read a few variables", async () => {
  const { allow_env, allow_ffi, prompt, ...baked } = await bakedPermissions();
  assert.deepEqual(allow_ffi, [], "an empty list is any library");
  assert.ok(
    Array.isArray(allow_env) && allow_env.length > 0,
    "an empty list would be any variable",
  );
  assert.equal(prompt, false, "a missing permission must be an error, not a question");
  assert.deepEqual(baked.deny_import, [], "an empty list is every host");
  // For the client and the tools; the server gives them back (dropPermissions).
  const { allow_net, allow_read, allow_write, ...rest } = baked;
  assert.deepEqual([allow_net, allow_read, allow_write], [[], [], []]);
  const granted = Object.entries(rest).filter(([name, value]) =>
    name.startsWith("allow_") && name !== "allow_import" && value !== null
  );
  assert.deepEqual(granted, []);
});

Deno.test("the server gives back what only the client needs, before anything else", async () => {
  const daemon = await Deno.readTextFile(new URL("../../src/daemon/daemon.ts", import.meta.url));
  assert.match(daemon, /let config = first;\s+dropPermissions\(\);\s+libmnl\(\);/);
});

Deno.test("dist/pk opens nothing in a folder that others may write to", async () => {
  const { success, stderr } = await new Deno.Command("strace", {
    args: ["-f", "-e", "trace=open,openat,creat,mkdir,rename", binary.pathname, "--version"],
    cwd: "/",
  }).output();
  const trace = new TextDecoder().decode(stderr);
  assert.ok(success && trace.includes(binary.pathname), trace);
  const opened = [...trace.matchAll(/"(\/(?:var\/)?tmp\/[^"]*|\/dev\/shm\/[^"]*)"/g)]
    .map(([, path]) => path)
    .filter((path) => path !== binary.pathname);
  assert.deepEqual(opened, []);
});

async function bakedPermissions(): Promise<Record<string, unknown>> {
  const text = new TextDecoder("latin1").decode(await Deno.readFile(binary));
  const [, json] = text.match(/"permissions":(\{[^{}]*"allow_env"[^{}]*\})/) ?? [];
  assert.ok(json, "dist/pk holds no permissions: was it made by deno compile?");
  return JSON.parse(json);
}
