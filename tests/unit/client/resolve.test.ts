// resolve(): addresses as they may be written, and the family that a profile's knocks need. Names are
// looked up in tests/netns.

import assert from "node:assert/strict";
import { typedProfile } from "../../../src/client/hosts_file.ts";
import { resolve, resolveProfile } from "../../../src/client/resolve.ts";
import { HostError, UsageError } from "../../../src/errors.ts";

const interfaces = { interfaceIndex: (name: string) => name === "eth0" ? 7 : 0 };

Deno.test("resolve() takes addresses as they are", async () => {
  const cases: readonly [host: string, text: string, family: 4 | 6, scope: number][] = [
    ["192.0.2.7", "192.0.2.7", 4, 0],
    ["2001:db8::7", "2001:db8::7", 6, 0],
    ["[2001:db8::7]", "2001:db8::7", 6, 0],
    ["fe80::1%eth0", "fe80::1%eth0", 6, 7],
    ["fe80::1%3", "fe80::1%3", 6, 3],
  ];
  for (const [host, text, family, scope] of cases) {
    const to = await resolve(interfaces, host, undefined);
    assert.deepEqual([to.text, to.address.family, to.scope], [text, family, scope]);
  }
});

Deno.test("resolve() refuses the other family, unknown interfaces, and what is no name", async () => {
  await assert.rejects(resolve(interfaces, "192.0.2.7", 6), UsageError);
  await assert.rejects(resolve(interfaces, "2001:db8::7", 4), UsageError);
  await assert.rejects(resolve(interfaces, "fe80::1%nope", undefined), UsageError);
  for (
    const host of ["", "a b", "-x", "http://h", "h:22", "2001:db8::7%", "::1%lo%lo", "1.2.3.4/8"]
  ) {
    await assert.rejects(resolve(interfaces, host, undefined), (error) => {
      assert.ok(error instanceof UsageError || error instanceof HostError, host);
      return true;
    }, host);
  }
});

Deno.test("resolveProfile() takes an address of either family, whatever the knocks need", async () => {
  const ping = typedProfile("2001:db8::7", ["7000", "icmp/56"], false);
  assert.equal((await resolveProfile(interfaces, ping, undefined)).address.family, 6);
  await assert.rejects(resolveProfile(interfaces, ping, 4), /with -4: it is an address of IPv6/);
});
