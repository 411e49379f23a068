// The page of `pk page` as a person and a browser meet it: by keyboard, on a phone, within its policy,
// with its own cryptography and the ports that Chromium blocks.
//
//     client: Chromium  veth0 ◄────────► veth0  server

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { captureSyns } from "../browser/capture.ts";
import { type Json, startChromium } from "../browser/chromium.ts";
import { openFile, plain, PORTS, rotating, temporaryFolder } from "../browser/page_file.ts";
import { netnsTest } from "../support/cases.ts";
import { IPV4, sleep } from "../support/netns.ts";
import { setStage, startPk } from "../support/pk.ts";
import { BROWSER_BLOCKED_PORTS } from "../../src/config/browser_ports.ts";
import { SCRIPT_PARTS } from "../../src/page/script.ts";

const PHONE = { width: 390, height: 844, deviceScaleFactor: 2, mobile: true };

/** A folder for pictures of the pages, for a person to look at. */
const SCREENSHOTS = Deno.env.get("PK_SCREENSHOTS");

/** In the standard since 2024; Chromium 156 does not block them yet. */
const NEWEST = [4190, 6679];

netnsTest("the page asks for the ports, and is all usable by keyboard", async () => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--port-seq", PORTS.join());
  await using chromium = await startChromium(stage.lab.client);
  await using page = await openFile(chromium, plain(IPV4), false);
  const html = await page.evaluate<string>("document.documentElement.outerHTML");
  for (const port of PORTS) ok(!html.includes(`${port}`), `the page tells port ${port}`);
  const focus = () =>
    page.evaluate<string>("document.activeElement.id || document.activeElement.tagName");

  await page.press("Tab");
  strictEqual(await focus(), "secret");
  await page.type("7153 6667 8461");
  await page.press("Enter");
  await page.until(`document.getElementById("problem").textContent.includes("browsers block")`);
  strictEqual(await focus(), "secret", "the focus is where the mistake is");
  strictEqual(await page.evaluate(`document.activeElement.getAttribute("aria-invalid")`), "true");

  await page.evaluate(`document.activeElement.select()`);
  await page.type(PORTS.join(", "));
  await page.press("Tab");
  strictEqual(await focus(), "show");
  await page.press("Space");
  strictEqual(await page.evaluate(`document.getElementById("secret").type`), "text");
  await page.press("Space");
  strictEqual(await page.evaluate(`document.getElementById("secret").type`), "password");
  await page.press("Tab");
  strictEqual(await focus(), "knock");
  await page.press("Enter");
  await page.until(`document.getElementById("status").textContent === "All 5 knocks are sent"`);
  strictEqual(await focus(), "knock", "the focus stays");
  await pk.event("granted", { source: IPV4.client });
  await page.press("Tab");
  strictEqual(await page.evaluate("document.activeElement.href"), "https://10.99.0.1:2222/");
  await page.press("Tab");
  await page.press("Tab");
  strictEqual(await focus(), "SUMMARY");
  await page.press("Enter");
  strictEqual(await page.evaluate(`document.querySelector("details").open`), true);
});

netnsTest("the page fits a phone, light and dark, and every control has a name", async (t) => {
  await using stage = await setStage();
  await using chromium = await startChromium(stage.lab.client);
  const pages = {
    ports: { profile: plain(IPV4), embedSecret: false },
    key: { profile: rotating("a-server-with-a-long-name.example.net"), embedSecret: false },
    embedded: { profile: plain(IPV4), embedSecret: true },
  };
  for (const [name, { profile, embedSecret }] of Object.entries(pages)) {
    for (const scheme of ["light", "dark"]) {
      await t.step(`${name}, ${scheme}`, async () => {
        await using page = await openFile(chromium, profile, embedSecret);
        await page.call("Emulation.setDeviceMetricsOverride", PHONE);
        const features = [{ name: "prefers-color-scheme", value: scheme }];
        await page.call("Emulation.setEmulatedMedia", { features });
        await page.evaluate(`document.getElementById("knock").click()`);
        const end = embedSecret ? `!document.getElementById("next").hidden` : "true";
        await page.until(end);
        await page.evaluate(`document.querySelector("details").open = ${name === "key"}`);
        if (SCREENSHOTS) {
          await Deno.writeFile(`${SCREENSHOTS}/${name}-${scheme}.png`, await page.screenshot());
        }
        ok(await page.evaluate<number>("document.documentElement.scrollWidth") <= PHONE.width);
        const small = await page.evaluate<string[]>(`[...document.querySelectorAll(
          "button, a, summary, label.choice, input:not([type=checkbox])")]
          .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 48)
          .map((one) => one.outerHTML)`);
        deepStrictEqual(small, [], "too small for a finger");
        const paper = await page.evaluate<string>(
          "getComputedStyle(document.documentElement).backgroundColor",
        );
        strictEqual(paper === "rgb(255, 255, 255)", scheme === "light");
        const { nodes } = await page.call("Accessibility.getFullAXTree");
        const controls = nodes.filter((node: Json) =>
          ["button", "textbox", "checkbox", "link", "DisclosureTriangle"].includes(node.role?.value)
        );
        ok(controls.length >= 2);
        deepStrictEqual(controls.filter((node: Json) => !node.name?.value), []);
      });
    }
  }
});

netnsTest("the page's policy lets it reach the knocked ports and nothing else", async () => {
  await using stage = await setStage();
  await using chromium = await startChromium(stage.lab.client);
  await using capture = await captureSyns(stage.ns);
  await using page = await openFile(chromium, plain(IPV4), true);
  const reach = (url: string) =>
    page.evaluate<string>(`knockOn("${url}", 200)`).then(() => sleep(200));
  for (const url of ["http://10.99.0.1:4444/", "http://10.99.0.1/", "https://[fd99::1]:7153/"]) {
    await reach(url);
  }
  await page.evaluate(`new Promise((end) => {
    const image = new Image();
    image.onerror = image.onload = end;
    image.src = "http://10.99.0.1:7153/";
  })`);
  deepStrictEqual(capture.syns([4444, 80, 443, ...PORTS]), []);
  await reach("http://10.99.0.1:7153/");
  strictEqual(capture.syns(PORTS).length, 1, "the one that is allowed");
});

netnsTest("the page's own SHA-256 and derivation pass the vectors in Chromium", async () => {
  await using stage = await setStage();
  await using chromium = await startChromium(stage.lab.client);
  await using page = await openFile(chromium, plain(IPV4), false);
  const file = new URL("../vectors/rotating.json", import.meta.url);
  const vectors = JSON.parse(await Deno.readTextFile(file));
  ok(vectors.length > 0);
  for (const { case: name, key, source, sequence, ...question } of vectors) {
    const address = source ? `addressBytes(${JSON.stringify(source)})` : "new Uint8Array()";
    const derived = await page.evaluate(`derivePorts({
      ...${JSON.stringify(question)},
      key: Uint8Array.from(${JSON.stringify(key)}.match(/../g) ?? [], (hex) => parseInt(hex, 16)),
      address: ${address},
    })`);
    deepStrictEqual(derived, sequence, name);
  }
});

netnsTest(
  "Chromium blocks the ports that are said to be blocked, and not their neighbours",
  async () => {
    await using stage = await setStage();
    await using chromium = await startChromium(stage.lab.client);
    await using folder = await temporaryFolder();
    const blank = `${folder.path}/blank.html`;
    await Deno.writeTextFile(blank, "<!doctype html><title>blank</title>");
    const page = await chromium.page();
    await page.open(`file://${blank}`);
    await page.evaluate(String(SCRIPT_PARTS.find(({ name }) => name === "knockOn")));
    const blocked = [...BROWSER_BLOCKED_PORTS];
    const near = blocked.flatMap((port) => [port - 1, port + 1]);
    const free = [...new Set(near)].filter((port) => port > 0 && !BROWSER_BLOCKED_PORTS.has(port));
    const all = JSON.stringify([...blocked, ...free]);
    await page.evaluate(`(async () => {
    for (const port of ${all}) await knockOn("http://10.99.0.1:" + port + "/", 1000);
  })()`);
    const urls = new Map(
      page.seen("Network.requestWillBeSent").map((
        { requestId, request },
      ) => [requestId, request.url]),
    );
    const refused = page.seen("Network.loadingFailed")
      .filter(({ errorText }) => errorText === "net::ERR_UNSAFE_PORT")
      .map(({ requestId }) => Number(new URL(urls.get(requestId) ?? "http://x/").port || 80));
    deepStrictEqual(refused.filter((port) => !BROWSER_BLOCKED_PORTS.has(port)), []);
    const missing = blocked.filter((port) => !refused.includes(port) && !NEWEST.includes(port));
    deepStrictEqual(missing, []);
  },
);
