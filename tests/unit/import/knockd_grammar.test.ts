// parseKnockd(): what knockd 0.8 reads and refuses. tests/netns/import.test.ts asks knockd the same.

import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { parseConfig } from "../../../src/config/yaml.ts";
import { parseKnockd } from "../../../src/import/knockd_grammar.ts";
import { importKnockd } from "../../../src/import/knockd_to_yaml.ts";
import { convertOneTime } from "../../../src/import/one_time.ts";
import { ACCEPTED, REFUSED } from "../../support/knockd_files.ts";

for (const [what, text] of ACCEPTED) {
  Deno.test(`parseKnockd() takes ${what}`, () => {
    assert.deepEqual(parseKnockd(text).mistakes, []);
  });
}

for (const [what, text, line] of REFUSED) {
  Deno.test(`parseKnockd() refuses ${what}, with its line`, () => {
    const { mistakes } = parseKnockd(text);
    assert.deepEqual(mistakes.map((mistake) => mistake.line), [line]);
    assert.equal(mistakes[0]?.text, text.split("\n")[line - 1]?.trim());
  });
}

Deno.test("parseKnockd() tells all mistakes, not only the first", () => {
  const { mistakes } = parseKnockd("[a]\nsequence=1:x\nbogus=1\n[b]\ntcpflags=no\n");
  assert.deepEqual(mistakes.map(({ line }) => line), [2, 3, 4, 5]);
});

Deno.test("parseKnockd() has knockd's defaults, and the last of a directive counts", () => {
  const { doors: [door] } = parseKnockd(
    "[a]\nsequence=1,2\nSEQUENCE=3,4:Udp\nStart_Command = x=y\n",
  );
  assert.equal(door?.seqTimeoutS, 25);
  assert.equal(door?.cmdTimeoutS, 10);
  assert.equal(door?.start, "x=y");
  assert.deepEqual(door?.sequence?.map(({ protocol, port }) => `${protocol}/${port}`), [
    "tcp/3",
    "udp/4",
  ]);
});

Deno.test("importKnockd() gives YAML or mistakes for any text", () => {
  const word = fc.constantFrom(
    ..."iptables -A -D INPUT -s %IP% -p tcp udp --dport 22 -j ACCEPT nft add rule element ip saddr dport { } ufw allow from to any port firewall-cmd --add-rich-rule && ; | ' \" $( ) ` \\ \r \u2028 : # - sleep sh -c"
      .split(" "),
  );
  const words = fc.array(fc.oneof(word, fc.string()), { maxLength: 14 })
    .map((list) => list.join(" "));
  const line = fc.oneof(
    words.map((text) => `command = ${text}`),
    words.map((text) => `stop_command = ${text}`),
    words.map((text) => `[${text}]\nsequence = 7000,8000`),
    words.map((text) => `target = ${text}`),
    fc.string(),
  );
  fc.assert(fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
    const text = ["[a]", "sequence = 1,2", ...lines].join("\n");
    const imported = importKnockd(text, { file: "x\ny" });
    if ("mistakes" in imported) return assert.ok(imported.mistakes.length > 0);
    const { version, doors } = parse(imported.yaml, { strict: true, uniqueKeys: true });
    assert.equal(version, 1);
    for (const [name, door] of Object.entries(doors ?? {})) {
      assert.match(name, /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/);
      assert.deepEqual(Object.keys(door as object).filter((key) => key !== "from"), [
        "opens",
        "knock",
        "within",
        "for",
      ]);
    }
    if (doors === null) return assert.ok(imported.toDos > 0);
    parseConfig(imported.yaml, "/etc/pk/pk.yaml", { read: () => ({ reason: "ENOENT" }) });
  }));
});

Deno.test("convertOneTime() leaves used sequences out and tells wrong lines", () => {
  assert.deepEqual(convertOneTime("# new\n\n 1,2:UDP\n#3,4\n5,6,7\r\n"), {
    text: "tcp/1, udp/2\ntcp/5, tcp/6, tcp/7\n",
  });
  const wrong = convertOneTime("1,2\n3\n4,0\n5,6:icmp\n");
  assert.ok("mistakes" in wrong);
  assert.deepEqual(wrong.mistakes.map(({ line }) => line), [2, 3, 4]);
});
