// Files of secrets: whose they may be, what two users may not share, and what is said of what cannot be
// read.

import assert from "node:assert/strict";
import { ConfigError } from "../../../src/errors.ts";
import { type Environment, parseConfig, readConfig } from "../../../src/config/yaml.ts";
import { readPassphrase, readSecretFile } from "../../../src/config/secret_file.ts";
import { type FileOf, filesOf, FOLDER } from "./config_yaml.ts";

const ALICE = 1000;
const TEXT = "correct horse battery staple\n";

Deno.test("a secret belongs to root or to who runs pk", () => {
  const read = (owner: number, uid?: number) => {
    const files = filesOf({ [`${FOLDER}/a`]: { text: TEXT, mode: 0o600, owner } });
    return readSecretFile(files, "a", { folder: FOLDER, uid });
  };
  for (const [owner, uid] of [[0, 0], [0, ALICE], [ALICE, ALICE]] as const) {
    assert.ok("bytes" in read(owner, uid), `${owner} for ${uid}`);
  }
  assert.ok("bytes" in read(ALICE), "nobody asks");
  assert.deepEqual(read(ALICE, 0), {
    message: "/etc/pk/a belongs to another user (uid 1000), not to who runs pk",
    hint: "chown root /etc/pk/a && chmod 600 /etc/pk/a",
  });
  assert.deepEqual(read(7, ALICE), {
    message: "/etc/pk/a belongs to another user (uid 7), not to who runs pk",
    hint: "chown 1000 /etc/pk/a && chmod 600 /etc/pk/a",
  });
});

Deno.test("a secret without an owner is taken, and so is what systemd gives", () => {
  const files = filesOf({
    [`${FOLDER}/a`]: { text: TEXT, mode: 0o600 },
    ["/run/credentials/pk/b"]: { text: TEXT, mode: 0o440, owner: ALICE },
  });
  const place = { folder: FOLDER, credentialsFolder: "/run/credentials/pk", uid: 0 };
  for (const path of ["a", "b"]) {
    assert.ok(!("message" in readPassphrase(files, path, place)), path);
  }
});

Deno.test("a configuration with a foreign secret is refused, with a foreign one-time file it is not", () => {
  const knock = (text: string) => `doors: { a: { opens: [tcp/22], knock: { ${text} } } }`;
  const mine = { text: TEXT, mode: 0o600, owner: 0 };
  const theirs = { text: TEXT, mode: 0o600, owner: ALICE };
  const users = knock("encrypted: { users: { u: { id: 1, secret-file: s } } }");
  assert.deepEqual(problems(users, { s: theirs }, { uid: 0 }), [
    "/etc/pk/s belongs to another user (uid 1000), not to who runs pk",
  ]);
  assert.deepEqual(problems(users, { s: mine }, { uid: 0 }), []);
  assert.deepEqual(problems(users, { s: theirs }), []);
  const once = { ...theirs, text: "tcp/7000, udp/8123\n" };
  assert.deepEqual(problems(knock("one-time: { file: o }"), { o: once }, { uid: 0 }), []);
});

Deno.test("users of an encrypted door have secrets of their own, however these are written", () => {
  const of = (...names: string[]) => {
    const users = names.map((name, id) => `${name}: { id: ${id}, secret-file: ${name} }`);
    const knock = `{ encrypted: { users: { ${users.join(", ")} } } }`;
    return problems(`doors: { a: { opens: [tcp/22], knock: ${knock} } }`, {
      alice: { text: "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567\n", mode: 0o600 },
      bob: { text: "ABCDEFGH IJKLMNOP QRSTUVWX YZ234567", mode: 0o600 },
      carol: { text: TEXT, mode: 0o600 },
      dan: { text: TEXT.trim(), mode: 0o600 },
      eve: { text: TEXT.toUpperCase(), mode: 0o600 },
    });
  };
  assert.deepEqual(of("alice", "carol", "eve"), []);
  assert.deepEqual(of("alice", "carol", "bob", "dan"), [
    'The user "alice" has the same secret: each could come in as the other',
    'The user "carol" has the same secret: each could come in as the other',
  ]);
});

Deno.test("what cannot be read has a hint that helps", () => {
  const cases: readonly [reason: string, secret: RegExp, config: RegExp][] = [
    ["ENOENT", /^A path is relative to the folder/, /^Copy pk\.example\.yaml/],
    ["EACCES", /^It has to belong to who runs pk: root/, /^It has to belong to who runs pk: root/],
    ["EISDIR", /^It has to be a regular file$/, /^It has to be a regular file$/],
    ["EINVAL", /^It has to be a regular file$/, /^It has to be a regular file$/],
    ["EOPNOTSUPP", /^Copy it into a regular file/, /^Copy it into a regular file/],
  ];
  for (const [reason, secret, config] of cases) {
    const files = { read: () => ({ reason }) };
    const found = readSecretFile(files, "a", { folder: FOLDER });
    assert.ok("hint" in found && found.message.includes(reason), reason);
    assert.match(found.hint, secret);
    assert.throws(() => readConfig(`${FOLDER}/pk.yaml`, files), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.problems[0]?.hint ?? "", config);
      return true;
    });
  }
});

/** What is said of a configuration, with files of that folder. */
function problems(
  text: string,
  contents: Readonly<Record<string, FileOf>>,
  environment?: Environment,
): string[] {
  const files = filesOf(
    Object.fromEntries(Object.entries(contents).map(([name, file]) => [`${FOLDER}/${name}`, file])),
  );
  try {
    parseConfig(text, `${FOLDER}/pk.yaml`, files, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ message }) => message);
  }
  return [];
}
