// `pk page` in a real Chromium: the page, opened as a file or from a web server, opens the door of the
// real daemon, on hosts whose closed ports answer and on hosts that drop everything, over IPv4 and IPv6.
// How the page behaves for a person is in page_use.test.ts.
//
//     client: Chromium  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { captureSyns } from "../browser/capture.ts";
import { startChromium } from "../browser/chromium.ts";
import { openFile, plain, PORTS, temporaryFolder } from "../browser/page_file.ts";
import { makeCertificate, serveFolder } from "../browser/web_server.ts";
import { netnsTest } from "../support/cases.ts";
import { FAMILIES, IPV4, must, nft, run, sleep } from "../support/netns.ts";
import { getsIn, PK, setStage, spawnPk, startPk } from "../support/pk.ts";
import { pageOf } from "../../src/page/page.ts";

const SEQUENCE = ["--port-seq", PORTS.join()];

/** All that comes in is dropped, but for pk's port and what IPv6 needs. */
const DEFAULT_DROP = "table inet host { chain input { type filter hook input priority 0; " +
  "policy drop; ct state established accept; tcp dport 2222 accept; meta l4proto ipv6-icmp accept; }; }";

netnsTest("the page opens the door from a file, one SYN a knock, in order", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, ...SEQUENCE, "--rule-timer", "2000");
  await using chromium = await startChromium(stage.lab.client);
  await using capture = await captureSyns(stage.ns);
  for (const firewall of ["closed ports answer", "default drop"]) {
    if (firewall === "default drop") await nft(stage.ns, DEFAULT_DROP);
    for (const family of FAMILIES) {
      await t.step(`${family.name}, ${firewall}`, async () => {
        const sinceMs = Date.now();
        const syns = () =>
          capture.syns(PORTS).filter(({ atMs, source }) =>
            atMs > sinceMs && source === family.client
          );
        const granted = pk.seen("granted", { source: family.client }).length;
        strictEqual(await getsIn(stage.client, family, family.client), false, "open before");
        await using page = await openFile(chromium, plain(family), true);
        await page.evaluate(`document.getElementById("knock").click()`);
        await page.until(`!document.getElementById("next").hidden`);
        ok(await page.evaluate(`document.getElementById("local").hidden`));
        await pk.event("granted", { source: family.client }, { nth: granted + 1 });
        strictEqual(await getsIn(stage.client, family, family.client), true);
        deepStrictEqual(syns().slice(0, 5).map(({ port }) => port), PORTS);
        // Again at once: no request of the first time stands in for one of the second.
        await page.evaluate(`document.getElementById("knock").click()`);
        await page.until(`document.querySelectorAll("li:not(details li)").length === 5`);
        await page.until(`!document.getElementById("next").hidden`);
        await pk.event("granted", { source: family.client }, { nth: granted + 2 });
        const connections = new Set(
          syns().map(({ sourcePort, port }) => `${port} ${sourcePort}`),
        );
        strictEqual(connections.size, 10, "connections for two times five knocks");
        await sleep(2500); // the grant ends
      });
    }
  }
});

/**
 * Chromium looks where an answer comes from before the page gets it, and asks about private addresses
 * then (Local Network Access). Closed ports do not answer, and their knocks are sent by then.
 */
netnsTest("a page from a public web server knocks on a private address unasked", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, ...SEQUENCE, "--rule-timer", "1000");
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/knock.html`, pageOf(plain(IPV4), { embedSecret: true }));
  await using _server = await serveFolder(stage.ns, folder.path, 8080);
  // The first knock is answered, so that Chromium has something to withhold.
  await using _first = await serveFolder(stage.ns, folder.path, 7153);
  const origin = "http://10.99.0.1:8080";
  const publicly = "--ip-address-space-overrides=10.99.0.1:8080=public";
  const cases = [
    { name: "a private one, to compare", secure: false, first: "sent, answered", flags: [] },
    { name: "not encrypted", secure: false, first: "sent, refused", flags: [publicly] },
    {
      name: "as if encrypted",
      secure: true,
      first: "sent, refused",
      flags: [publicly, `--unsafely-treat-insecure-origin-as-secure=${origin}`],
    },
  ];
  for (const [index, { name, secure, first, flags }] of cases.entries()) {
    await t.step(name, async () => {
      await using chromium = await startChromium(stage.lab.client, ...flags);
      const page = await chromium.page();
      await page.open(`${origin}/knock.html`);
      strictEqual(await page.evaluate("isSecureContext"), secure);
      strictEqual(await page.evaluate(`typeof crypto.subtle === "object"`), secure);
      await page.evaluate(`document.getElementById("knock").click()`);
      await page.until(`!document.getElementById("next").hidden`);
      await pk.event("granted", { source: IPV4.client }, { nth: index + 1 });
      strictEqual(await page.evaluate(`document.querySelector("#steps li").textContent`), first);
      ok(
        await page.evaluate(`!document.getElementById("local").hidden`),
        "no hint of the permission",
      );
      await sleep(1500);
    });
  }
});

netnsTest("a page that came over HTTPS knocks too, though HTTP is kept from it", async () => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, ...SEQUENCE);
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/knock.html`, pageOf(plain(IPV4), { embedSecret: true }));
  const certificate = `${folder.path}/certificate.pem`;
  await makeCertificate(certificate);
  await using _server = await serveFolder(stage.ns, folder.path, 8443, certificate);
  await using chromium = await startChromium(stage.lab.client, "--ignore-certificate-errors");
  const page = await chromium.page();
  await page.open("https://10.99.0.1:8443/knock.html");
  await page.evaluate(`document.getElementById("knock").click()`);
  await page.until(`!document.getElementById("next").hidden`);
  await pk.event("granted", { source: IPV4.client });
});

netnsTest("the page knocks rotating sequences", async (t) => {
  await using stage = await setStage();
  await using folder = await temporaryFolder();
  const secret = `${folder.path}/admin.secret`;
  await must(PK, "secret", "--out", secret);
  const key = (await Deno.readTextFile(secret)).trim();
  const [server, hosts] = [`${folder.path}/pk.yaml`, `${folder.path}/hosts.yaml`];
  const rotating = (more: string) => `{ rotating: { secret-file: ${secret}, step: 30s${more} } }`;
  const free = ", ports: tcp/22000-23023, bind-source: false";
  await Deno.writeTextFile(
    server,
    `doors:
  bound: { opens: [tcp/2222], knock: ${rotating("")}, for: 2s }
  free: { opens: [tcp/2222], knock: ${rotating(free)}, for: 2s }
log: { format: json }
`,
  );
  await Deno.writeTextFile(
    hosts,
    `hosts:
  bound: { host: ${IPV4.server}, opens: tcp/2222, knock: ${rotating("")} }
  free: { host: "${IPV4.server}", opens: tcp/2222, knock: ${rotating(free)} }
`,
  );
  // What was used up is remembered there: not beside what other runs have used up.
  const state = ["env", `STATE_DIRECTORY=${folder.path}`];
  await using pk = spawnPk(stage.ns, ["run", "--config", server], state);
  await pk.event("ready", {}, { timeoutMs: 30_000 });
  await nft(stage.ns, DEFAULT_DROP.replace("2222", "{ 2222, 8080 }"));
  const make = async (file: string, ...args: string[]) => {
    const made = await must(PK, "page", "--profiles", hosts, ...args);
    await Deno.writeTextFile(`${folder.path}/${file}`, made);
  };

  await t.step("key and address typed, twice in a time step", async () => {
    await make("asking.html", "bound");
    await using chromium = await startChromium(stage.lab.client);
    const page = await chromium.page();
    await page.open(`file://${folder.path}/asking.html`);
    await page.press("Tab");
    await page.type(key.toUpperCase().replaceAll("-", " "));
    await page.press("Tab");
    await page.press("Tab");
    await page.type(IPV4.client);
    for (const nth of [1, 2]) {
      await page.press("Enter");
      await page.until(`document.getElementById("status").textContent.includes("All 5")`, 40_000);
      await pk.event("granted", { source: IPV4.client, door: "bound" }, { nth });
      if (nth === 1) strictEqual(await getsIn(stage.client, IPV4, IPV4.client), true);
    }
  });

  await t.step(
    "key embedded, nothing typed, over plain HTTP, where crypto.subtle lacks",
    async () => {
      await make("holding.html", "--embed-secret", "free");
      await using _web = await serveFolder(stage.ns, folder.path, 8080);
      await using chromium = await startChromium(stage.lab.client);
      const page = await chromium.page();
      await page.open("http://10.99.0.1:8080/holding.html");
      strictEqual(await page.evaluate("typeof crypto.subtle"), "undefined");
      await page.press("Tab");
      await page.press("Enter");
      await pk.event("granted", { source: IPV4.client, door: "free" });
    },
  );
});

Deno.test("pk secret --out writes for its owner alone, and over nothing", async () => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/admin.secret`;
  const { code, stdout } = await run(PK, "secret", "--out", file);
  deepStrictEqual([code, stdout], [0, ""]);
  const key = await Deno.readTextFile(file);
  ok(/^([a-z2-7]{4}-){7}[a-z2-7]{4}\n$/.test(key));
  strictEqual(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600);
  const again = await run(PK, "secret", "--out", file);
  strictEqual(again.code, 1);
  ok(again.stderr.includes("there is a file of that name"), again.stderr);
  strictEqual(await Deno.readTextFile(file), key);
  deepStrictEqual((await Array.fromAsync(Deno.readDir(folder.path))).length, 1, "a part is left");
});

Deno.test("pk page refuses with the reason, and prints nothing then", async () => {
  await using folder = await temporaryFolder();
  const hosts = `${folder.path}/hosts.yaml`;
  const knocks = { udp: "[tcp/7000, udp/8123]", irc: "[tcp/7000, tcp/6667]" };
  const lines = Object.entries(knocks).map(([name, knock]) =>
    `  ${name}: { host: 192.0.2.1, knock: ${knock} }\n`
  );
  await Deno.writeTextFile(hosts, `hosts:\n${lines.join("")}`);
  for (const [name, reason] of [["udp", "can only do TCP"], ["irc", "browsers block port 6667"]]) {
    const { code, stdout, stderr } = await run(PK, "page", "--profiles", hosts, name ?? "");
    deepStrictEqual([code, stdout], [2, ""]);
    ok(stderr.includes(reason ?? "?"), stderr);
  }
});
