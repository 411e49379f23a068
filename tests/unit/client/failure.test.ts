// failureOf(): where to look, with the name of the door that a sequence is made of.

import assert from "node:assert/strict";
import { failureOf } from "../../../src/client/failure.ts";
import { profilesOf } from "../../../src/client/hosts_schema.ts";
import { resolve } from "../../../src/client/resolve.ts";

const FILE = `
hosts:
  plain: { host: h.example, opens: tcp/22, knock: [tcp/7000, tcp/8000] }
  admin: { host: h.example, opens: tcp/22, knock: { rotating: { secret-file: admin.secret } } }
  bob:
    host: h.example
    opens: tcp/22
    door: vault
    knock: { encrypted: { user: 2, secret-file: bob.secret } }
`;
const TO = await resolve({ interfaceIndex: () => 0 }, "192.0.2.1", undefined);

function hintOf(name: string): string {
  const profile = profilesOf(FILE, "hosts.yaml").get(name);
  assert.ok(profile);
  return failureOf("silent", profile, TO, 1_000).hint;
}

Deno.test("failureOf() says which name of the door the sequence is made of, and how to give another", () => {
  assert.match(hintOf("admin"), /"admin" here \(the profile's own\).*"door: NAME"/);
  assert.match(hintOf("bob"), /"vault" here \(the profile's key door\).*"door: NAME"/);
  assert.match(hintOf("bob"), /once in 30 s: did another profile/);
  assert.doesNotMatch(hintOf("plain"), /door/);
});
