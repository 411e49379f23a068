// From knockd to pk: what `pk import knockd` prints runs, and opens to the same knocks of Debian's
// knock(1). What we call a mistake in a knockd.conf, Debian's knockd refuses, too.
//
//     client  veth0 ◄────────► veth0  server: pk with the imported configuration
//     knock(1)                        guards 2222 (an echo service)

import { match, ok, strictEqual } from "node:assert/strict";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { ACCEPTED, REFUSED } from "../support/knockd_files.ts";
import { enter, inside, IPV4, IPV6, must, root } from "../support/netns.ts";
import { getsIn, PK, setStage, spawnPk } from "../support/pk.ts";
import { startConfigured } from "../support/pk_config.ts";
import { SYN_ONLY } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/yaml.ts";
import { isAdmitted } from "../../src/knock/prefix.ts";
import { parseAddress } from "../../src/packet/address.ts";

const GOLDEN = new URL("../golden/knockd/", import.meta.url).pathname;

const RULE = "INPUT -s %IP% -p tcp --dport 2222 -j ACCEPT";
const CONF = `
[options]
    UseSyslog
[mixed]
    sequence      = 7391,4470:udp,9120,2345:udp
    seq_timeout   = 10
    tcpflags      = syn
    start_command = iptables -I ${RULE}
    cmd_timeout   = 30
    stop_command  = iptables -D ${RULE}
`;
const CLASSIC = `
[openSSH]
    sequence = 7000,8000,9000
    command  = /sbin/iptables -A ${RULE}
    tcpflags = syn
[closeSSH]
    sequence = 9000,8000,7000
    command  = /sbin/iptables -D ${RULE}
`;
const ONE_TIME = (file: string) => `
[once]
    one_time_sequences = ${file}
    start_command      = ufw allow from %IP% to any port 2222 proto tcp
    stop_command       = ufw delete allow from %IP% to any port 2222 proto tcp
`;

const hasKnockd = root && (await runs("knockd", "-V"));

netnsTest("knock(1) opens the door that was imported, as it did knockd's", async (t) => {
  await sideBySide(
    t,
    [
      { name: "mixed", conf: CONF, code: 0, knocks: ["7391", "4470:udp", "9120", "2345:udp"] },
      { name: "classic", conf: CLASSIC, code: 4, knocks: ["7000", "8000", "9000"] },
    ],
    ({ name }) => name,
    async ({ conf, code, knocks }) => {
      await using stage = await setStage();
      const folder = await Deno.makeTempDir();
      try {
        const config = await imported(stage.ns, folder, conf, code);
        await using pk = spawnPk(stage.ns, ["run", "--config", config]);
        await pk.event("ready", {}, { timeoutMs: 30_000 });
        for (
          const { name, flag, family } of [
            { name: "IPv4", flag: "-4", family: IPV4 },
            { name: "IPv6", flag: "-6", family: IPV6 },
          ]
        ) {
          strictEqual(await getsIn(stage.client, family, family.client), false, `${name} before`);
          const [first = "", ...rest] = knocks;
          await must(...enter(stage.lab.client), "knock", flag, "-d", "20", family.server, ...rest);
          await must(...enter(stage.lab.client), "knock", flag, "-d", "20", family.server, first);
          strictEqual(await getsIn(stage.client, family, family.client), false, `${name} disorder`);
          await must(
            ...enter(stage.lab.client),
            "knock",
            flag,
            "-d",
            "20",
            family.server,
            ...knocks,
          );
          await pk.event("granted", { source: family.client });
          strictEqual(await getsIn(stage.client, family, family.client), true, name);
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
});

netnsTest("one-time sequences are converted, and open once", async () => {
  await using stage = await setStage();
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/knockd_sequences`;
    await Deno.writeTextFile(file, "#1111,2222\n 7391,4470:udp,9120\n 5111,6222,7333\n");
    const config = await imported(stage.ns, folder, ONE_TIME(file), 0, "--one-time-out", folder);
    const converted = `${folder}/once.sequences`;
    strictEqual(((await Deno.stat(converted)).mode ?? 0) & 0o777, 0o600);
    strictEqual(
      await Deno.readTextFile(converted),
      "tcp/7391, udp/4470, tcp/9120\ntcp/5111, tcp/6222, tcp/7333\n",
    );
    await using pk = spawnPk(stage.ns, ["run", "--config", config]);
    await pk.event("ready", {}, { timeoutMs: 30_000 });
    const knock = ["knock", "-4", "-d", "20", IPV4.server, "7391", "4470:udp", "9120"];
    await must(...enter(stage.lab.client), ...knock);
    await pk.event("granted", { source: IPV4.client });
    strictEqual(await getsIn(stage.client, IPV4, IPV4.client), true);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

netnsTest("the sequences of every configuration of the collection open its doors", async (t) => {
  await using stage = await setStage();
  const names: string[] = [];
  for await (const { name } of Deno.readDir(GOLDEN)) {
    if (name.endsWith(".yaml") && name !== "one_time.yaml") names.push(name);
  }
  let opened = 0;
  for (const name of names.sort()) {
    const text = await Deno.readTextFile(`${GOLDEN}${name}`);
    const doors = /^ {2}\S+:$/m.test(text) ? doorsOf(text) : [];
    if (doors.length === 0) continue;
    await t.step(name, async () => {
      await using pk = await startConfigured(stage.ns, text);
      for (const { door, knocks, family } of doors) {
        const flag = family === IPV4 ? "-4" : "-6";
        const command = ["knock", flag, "-d", "10", family.server, ...knocks];
        await must(...enter(stage.lab.client), ...command);
        await pk.event("granted", { source: family.client, door });
        opened++;
      }
      pk.kill("SIGTERM");
      await pk.ended();
      strictEqual((await inside(stage.ns, PK, "down")).code, 0);
    });
  }
  ok(opened >= 15, `only ${opened} doors were opened`);
});

/** Doors that knock(1) can open, with what it has to be told. */
function doorsOf(yaml: string) {
  const { doors } = parseConfig(yaml, "pk.yaml", { read: () => ({ reason: "ENOENT" }) });
  return doors.flatMap(({ name: door, knock, from }) => {
    if (knock.kind !== "plain") return [];
    const plain = knock.steps.every(({ flags, protocol }) =>
      protocol === "udp" || (protocol === "tcp" && flags.value === SYN_ONLY.value)
    );
    const families = [IPV4, IPV6].filter(({ client }) => {
      const source = parseAddress(client);
      return source !== undefined && isAdmitted(source, from);
    });
    const knocks = knock.steps.map(({ protocol, port }) => `${port}:${protocol}`);
    return plain ? families.map((family) => ({ door, knocks, family })) : [];
  });
}

netnsTest("every configuration of the collection that pk takes passes pk check", async () => {
  await using stage = await setStage();
  const folder = await Deno.makeTempDir();
  try {
    for await (const { name } of Deno.readDir(GOLDEN)) {
      if (!name.endsWith(".yaml")) continue;
      const text = await Deno.readTextFile(`${GOLDEN}${name}`);
      // Without a door there is nothing to take; the one-time file is not there.
      if (!/^ {2}\S+:$/m.test(text) || name === "one_time.yaml") continue;
      await Deno.writeTextFile(`${folder}/${name}`, text);
      const { code, stderr } = await inside(stage.ns, PK, "check", "--config", `${folder}/${name}`);
      strictEqual(code, 0, `${name}: ${stderr}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

netnsTest("pk import says what is wrong by file and line, and prints nothing", async () => {
  await using stage = await setStage();
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "[a]\nsequence = 1,2\nbogus = 3\n");
    const { code, stdout, stderr } = await inside(stage.ns, PK, "import", "knockd", file);
    strictEqual(code, 3);
    strictEqual(stdout, "");
    match(stderr, new RegExp(`${file}:3: .*\n +bogus = 3\n`));
    strictEqual((await inside(stage.ns, PK, "import", "knockd", `${file}.none`)).code, 1);
  } finally {
    await Deno.remove(file);
  }
});

netnsTest("knockd itself takes and refuses the same configurations", async (t) => {
  await using stage = await setStage();
  const cases = [
    ...ACCEPTED.map(([what, text]) => ({ what, text, refused: false })),
    ...REFUSED.map(([what, text]) => ({ what, text, refused: true })),
  ];
  await sideBySide(t, cases, ({ what }) => what, async ({ text, refused }) => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/knockd.conf`, text);
      const [program, ...entering] = enter(stage.ns);
      const options = ["-i", "lo", "-D", "-c", `${folder}/knockd.conf`, "-p", `${folder}/pid`];
      const { stdout, stderr } = await new Deno.Command(program, {
        args: [...entering, "timeout", "-s", "KILL", "2", "stdbuf", "-oL", "knockd", ...options],
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      // It prints its usage when it refuses, and looks at the interface when it does not.
      strictEqual(said.includes("usage: knockd"), refused, said);
      ok(refused || said.includes("local IP"), said);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}, { ignore: !hasKnockd });

/** Imports a configuration into a file that pk runs with, its log in JSON. */
async function imported(
  ns: string,
  folder: string,
  conf: string,
  expected: number,
  ...flags: string[]
): Promise<string> {
  await Deno.writeTextFile(`${folder}/knockd.conf`, conf);
  const file = `${folder}/knockd.conf`;
  const { code, stdout, stderr } = await inside(ns, PK, "import", "knockd", file, ...flags);
  strictEqual(code, expected, stderr);
  await Deno.writeTextFile(`${folder}/pk.yaml`, `${stdout}log: { format: json }\n`);
  return `${folder}/pk.yaml`;
}

async function runs(...command: [string, ...string[]]): Promise<boolean> {
  try {
    const [program, ...args] = command;
    await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output();
    return true;
  } catch {
    return false;
  }
}
