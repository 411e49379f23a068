// hosts.yaml: what profiles come of it, how they are found, and what is said of mistakes.

import assert from "node:assert/strict";
import { ConfigError, UsageError } from "../../../src/errors.ts";
import { findProfile, typedProfile } from "../../../src/client/hosts_file.ts";
import { profilesOf } from "../../../src/client/hosts_schema.ts";
import { stepText } from "../../../src/config/step.ts";

const FILE = `
hosts:
  server:
    host: server.example.net
    opens: tcp/22
    knock: [tcp/7000, udp/8123: { after: 200ms, before: 3s }]
  admin:
    host: 192.0.2.7
    opens: tcp/8443
    knock: { rotating: { secret-file: admin.secret } }
    address: 203.0.113.5
  shell:
    host: 192.0.2.7
    opens: tcp/22
    door: back
    knock: { rotating: { secret-file: /root/x, ports: udp/3000-3999, knocks: 7, step: 1m, bind-source: false } }
  once: { host: h, knock: { one-time: { file: sub/once.sequences } } }
  vault: { host: h, knock: { encrypted: { user: 1, secret-file: alice.secret } } }
  broad: { host: "2001:db8::1", knock: { encrypted: { user: 0, secret-file: a, layout: indexed, ports: tcp/1000-5095 } } }
`;

Deno.test("profilesOf() reads every kind of knock, with the server's defaults", () => {
  const profiles = profilesOf(FILE, "/home/alice/.config/pk/hosts.yaml");
  const knockOf = (name: string) => profiles.get(name)?.knock;
  const server = profiles.get("server");
  assert.equal(server?.door, "server");
  assert.ok(server?.knock.kind === "plain");
  assert.deepEqual(server.knock.steps.map(stepText), ["tcp/7000", "udp/8123"]);
  const [, { afterMs, beforeMs }] = server.knock.steps as [unknown, typeof server.knock.steps[0]];
  assert.deepEqual([afterMs, beforeMs], [200, 3000]);
  assert.deepEqual(knockOf("admin"), {
    kind: "rotating",
    secretFile: "/home/alice/.config/pk/admin.secret",
    ports: { protocol: "tcp", first: 20_000, last: 21_023 },
    knocks: 5,
    stepMs: 30_000,
    bindSource: true,
  });
  assert.equal(profiles.get("admin")?.address?.word3, 0xcb00_7105);
  assert.equal(profiles.get("shell")?.door, "back");
  assert.deepEqual(knockOf("shell"), {
    kind: "rotating",
    secretFile: "/root/x",
    ports: { protocol: "udp", first: 3000, last: 3999 },
    knocks: 7,
    stepMs: 60_000,
    bindSource: false,
  });
  assert.deepEqual(knockOf("once"), {
    kind: "one-time",
    file: "/home/alice/.config/pk/sub/once.sequences",
  });
  assert.deepEqual(knockOf("vault"), {
    kind: "encrypted",
    userId: 1,
    secretFile: "/home/alice/.config/pk/alice.secret",
    layout: "window",
    ports: { protocol: "tcp", first: 22_000, last: 22_255 },
  });
  assert.ok(knockOf("broad")?.kind === "encrypted");
});

Deno.test("profilesOf() tells every mistake with its line and what is allowed", () => {
  const cases: readonly [text: string, says: RegExp][] = [
    ["hosts: { a: { hots: h, knock: [tcp/1, tcp/2] } }", /hots[^]*Did you mean "host"/],
    ["hosts: { a: { host: h, knock: [tcp/1, tpc/2] } }", /tpc\/2/],
    ["hosts: { a: { host: h, knock: [tcp/1, tcp/70000] } }", /1 to 65535/],
    ["hosts: { a: { host: h, knock: { rotatin: {} } } }", /rotatin/],
    ["hosts: { a: { host: h } }", /Missing key "knock"/],
    ["hosts: { a: { host: '', knock: [tcp/1, tcp/2] } }", /name or an address/],
    ["hosts: { a: { host: h, opens: [tcp/22], knock: [tcp/1, tcp/2] } }", /port such as tcp\/22/],
    ["hosts: { a: { host: h, address: me, knock: [tcp/1, tcp/2] } }", /IPv4 or IPv6/],
    ["hosts: { '../a': { host: h, knock: [tcp/1, tcp/2] } }", /letters, digits/],
    ["hosts: { a: { host: h, knock: { encrypted: { user: 256, secret-file: s } } } }", /0 to 255/],
    [
      "hosts: { a: { host: h, knock: { encrypted: { user: 1, secret-file: s, ports: tcp/1-99 } } } }",
      /256 ports/,
    ],
    ["hosts: 7", /map/],
    ["", /empty/],
  ];
  for (const [text, says] of cases) {
    assert.throws(() => profilesOf(text, "hosts.yaml"), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, /^hosts\.yaml:1:\d+: /);
      assert.match(error.message, says);
      return true;
    }, text);
  }
});

Deno.test("findProfile() goes by name, then by host, then by the port that is opened", () => {
  const file = { path: "hosts.yaml", profiles: profilesOf(FILE, "hosts.yaml") };
  const found = (wanted: string, port?: number) => findProfile(file, wanted, port).name;
  assert.equal(found("server"), "server");
  assert.equal(found("Server.Example.NET"), "server");
  assert.equal(found("192.0.2.7"), "admin");
  assert.equal(found("192.0.2.7", 22), "shell");
  assert.equal(found("192.0.2.7", 9999), "admin");
  assert.equal(found("[2001:db8::1]"), "broad");
  assert.throws(
    () => found("sever"),
    (error) => error instanceof UsageError && /server/.test(error.hint ?? ""),
  );
});

Deno.test("typedProfile() is a plain sequence that remembers nothing", () => {
  const { name, host, knock } = typedProfile("h", ["7000", "8123:udp"], false);
  assert.deepEqual([name, host, knock.kind], [undefined, "h", "plain"]);
  assert.throws(() => typedProfile("h", ["0"], false), UsageError);
});
