// A profile → one HTML file that knocks from a browser: script and style inside, and a policy
// (Content Security Policy, level 3) by which the page reaches the knocked ports and nothing else.
// Pure: whoever calls it has read the secret, if that is to be in the page.

import { blockedInRange, blockedPorts, BROWSER_BLOCKED_PORTS } from "../config/browser_ports.ts";
import type { Endpoint, Step } from "../config/config.ts";
import { isPrivate } from "../client/private_address.ts";
import type { Profile } from "../client/profile.ts";
import { UsageError } from "../errors.ts";
import { formatAddress, parseAddress } from "../packet/address.ts";
import { type PageData, SCRIPT_PARTS } from "./script.ts";
import { sha256 } from "./sha256.ts";
import { STYLE } from "./style.ts";

/** What goes into the page beside the profile. */
export interface PageOptions {
  /** Otherwise the page asks for it. */
  readonly embedSecret: boolean;
  /** Of a rotating door, as text: what is embedded. A plain door's sequence is in the profile. */
  readonly key?: string | undefined;
}

/** Between two knocks a page may need so long: waiting for an answer, and a busy device. */
const PAUSE_MS = 1_000;

const SYN = 0x02;

/**
 * The page.
 *
 * @throws {UsageError} for what a browser cannot do, with the reason.
 */
export function pageOf(profile: Profile, options: PageOptions): string {
  const data = dataOf(profile, options);
  const script = `"use strict";\n${SCRIPT_PARTS.map(String).join("\n")}\n` +
    'startPage(JSON.parse(document.getElementById("data").textContent), window);\n';
  const policy = [
    "default-src 'none'",
    `script-src '${hash(script)}'`,
    `style-src '${hash(STYLE)}'`,
    `connect-src ${reachable(data)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escaped(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>Knock on ${escaped(profile.host)}</title>
<style>${STYLE}</style>
</head>
<body>
${body(profile, data)}
<script type="application/json" id="data">${jsonInHtml(data)}</script>
<script>${script}</script>
</body>
</html>
`;
}

function dataOf(profile: Profile, { embedSecret, key }: PageOptions): PageData {
  const { host, knock, door } = profile;
  const common = { ...hostOf(host), blocked: [...BROWSER_BLOCKED_PORTS] };
  switch (knock.kind) {
    case "plain": {
      refusePlain(knock.steps);
      const afterMs = knock.steps.map((step) => step.afterMs);
      if (!embedSecret && afterMs.some((ms) => ms > 0)) {
        throw new UsageError(
          "Cannot make a page that asks for the sequence: its knocks have times (after), which " +
            "nobody can type",
          "Take --embed-secret, or a sequence without times",
        );
      }
      const ports = embedSecret ? knock.steps.map(({ port }) => port) : undefined;
      return { ...common, knock: { kind: "plain", ports, afterMs } };
    }
    case "rotating": {
      const { ports: { protocol, first, last }, knocks, stepMs, bindSource } = knock;
      if (protocol !== "tcp") {
        throw cannot(`its knocks are ${protocol}, and a page can only do TCP`);
      }
      refuseBlocked(blockedInRange({ first, last }));
      const parameters = { door, first, last, knocks, stepMs, bindSource };
      return {
        ...common,
        knock: { kind: "rotating", ...parameters, key: embedSecret ? key : undefined },
      };
    }
    case "one-time":
      throw cannot("its sequences are crossed out in a file, which a page cannot do");
    case "encrypted":
      throw cannot("a page does plain and rotating sequences, this door's are encrypted");
  }
}

function refusePlain(steps: readonly Step[]): void {
  const other = steps.find(({ protocol }) => protocol !== "tcp");
  if (other) throw cannot(`one of its knocks is ${other.protocol}, and a page can only do TCP`);
  if (steps.some(({ flags: { mask, value } }) => (SYN & mask) !== value)) {
    throw cannot("one of its knocks has TCP flags, which a page cannot set");
  }
  if (steps.some(({ beforeMs }) => beforeMs < PAUSE_MS)) {
    throw cannot(
      `one of its knocks has to come (before) within less than ${PAUSE_MS / 1000} s, for which a ` +
        "page can be too slow",
    );
  }
  const ports = steps.map(({ port }) => port);
  refuseBlocked(blockedPorts(ports));
  const twice = ports.find((port, index) => port === ports[index + 1]);
  if (twice !== undefined) {
    throw cannot(
      `port ${twice} comes twice in a row, which the server cannot tell from a browser's second try`,
    );
  }
}

function refuseBlocked(blocked: readonly number[]): void {
  if (blocked.length === 0) return;
  const ports = `${blocked.length === 1 ? "port" : "ports"} ${blocked.join(", ")}`;
  throw cannot(
    `browsers block ${ports}`,
    "pk secret --browser makes sequences without such ports; for a rotating door choose a range " +
      "above 10080",
  );
}

function cannot(reason: string, hint?: string): UsageError {
  return new UsageError(
    `Cannot make a page for this door: ${reason}`,
    hint ?? "Give browsers a door of their own: a plain one of TCP ports, or a rotating one",
  );
}

/** Is it a name, and not an address? */
export function isName(host: string): boolean {
  return parseAddress(host) === undefined;
}

/** The host as browsers write it. */
function hostOf(host: string): Pick<PageData, "host" | "hostIsLocal"> {
  const address = parseAddress(host);
  const url = `http://${address?.family === 6 ? `[${host}]` : host}/`;
  const plausible = address !== undefined || /^[\p{L}\p{N}._-]+$/u.test(host);
  const name = plausible && URL.canParse(url) ? new URL(url).hostname : "";
  if (!/^(\[[0-9a-f:]+\]|[a-z0-9_.-]+)$/.test(name)) {
    throw new UsageError(
      `Cannot make a page for the host ${
        JSON.stringify(host)
      }: it is no name or address for browsers`,
      "Write the host's name, or its address without a zone",
    );
  }
  return {
    host: name,
    hostIsLocal: address ? isPrivate(address) : /(^|\.)(local|localhost)$|^[^.]+$/.test(name),
  };
}

/** What the policy lets the page reach. IPv6 addresses cannot be named there: then any host can be. */
function reachable({ host, knock }: PageData): string {
  const named = host.startsWith("[") ? "*" : host;
  const known = knock.kind === "plain" ? knock.ports : undefined;
  const ports = known === undefined ? ["*"] : [...new Set(known)];
  return ["http", "https"].flatMap((scheme) => ports.map((port) => `${scheme}://${named}:${port}`))
    .join(" ");
}

function body({ host, door, opens, address }: Profile, data: PageData): string {
  const { knock } = data;
  const asksSecret = knock.kind === "plain" ? !knock.ports : knock.key === undefined;
  const asksAddress = knock.kind === "rotating" && knock.bindSource;
  return `<main>
<h1>Knock on ${escaped(host)}</h1>
<p class="soft">${door === "" ? "Opens its door" : `Opens the door “${escaped(door)}”`}${
    opens ? ` (${opens.protocol} port ${opens.port})` : ""
  } for this device.</p>
<form id="form" autocomplete="off">
${asksSecret ? secretField(knock.kind) : ""}${asksAddress ? addressField(host, address) : ""}
<p id="problem" role="alert"></p>
<button id="knock" hidden>Knock</button>
</form>
<noscript><p>This page knocks by JavaScript, which is switched off.</p></noscript>
<p id="status" role="status" aria-live="polite"></p>
<p id="local" class="hint" hidden>This host is in a private network, and this page is no file: the browser may ask whether the page may reach it. The knocks go out before it asks. If the door stays shut all the same, allow it and knock again, or open the page as a file.</p>
<ol id="steps" aria-label="Knocks"></ol>
<section id="next" aria-label="What comes next" hidden>
<p>A page cannot see whether the door opened: connect now to find out.</p>
${opens ? links(data.host, opens) : ""}
</section>
<details>
<summary>If the door stays shut</summary>
<ul>
<li>The server sees where knocks come from. A VPN, a proxy, a data saver or iCloud Private Relay changes that: switch it off, for this page and for what you connect with.</li>
${
    isName(host)
      ? "<li>A name can stand for an IPv4 and an IPv6 address, and the door opens for the one that was used. A page made for the address itself is quicker and surer.</li>\n"
      : ""
  }${
    knock.kind === "rotating"
      ? `<li>The clock of this device must be right, to ${knock.stepMs / 1000} seconds.</li>
<li>Each sequence opens once. This page waits for a new one when it has to, but does not know of knocks from elsewhere.</li>
`
      : "<li>The ports must be right, and in their order.</li>\n"
  }<li>“refused” and “no answer” both are right: a knock is only sent. “answered” is right where a service listens on that port.</li>
</ul>
</details>
</main>`;
}

function secretField(kind: "plain" | "rotating"): string {
  const [label, hint] = kind === "plain"
    ? ["Ports to knock on", "All of them in order, such as 3021, 1542, 8210."]
    : ["Key", "Eight groups of four letters and digits, as pk secret printed it."];
  return `<label for="secret">${label}</label>
<input id="secret" type="password" required autocomplete="off" autocapitalize="none" autocorrect="off" spellcheck="false" aria-describedby="secret-hint">
<p id="secret-hint" class="hint">${hint} Stays in this page, in memory only.</p>
<label class="choice"><input id="show" type="checkbox"> Show what I type</label>
`;
}

function addressField(host: string, address: Profile["address"]): string {
  const family = { 4: " IPv4", 6: " IPv6", 0: "" }[parseAddress(host)?.family ?? 0];
  const value = address === undefined ? "" : escaped(formatAddress(address));
  return `<label for="address">This device’s address, as the server sees it</label>
<input id="address" type="text" required value="${value}" autocomplete="off" autocapitalize="none" autocorrect="off" spellcheck="false" aria-describedby="address-hint">
<p id="address-hint" class="hint">The sequence depends on it. Over the Internet it is your public${family} address, which search engines tell (“what is my IP”); in the server’s own network the device’s own.</p>
`;
}

/** Ways to what was opened, as far as a browser has one. */
function links(host: string, { protocol, port }: Endpoint): string {
  const shown = host.replace(/[[\]]/g, "");
  const text = `<p>Host <strong>${
    escaped(shown)
  }</strong>, ${protocol} port <strong>${port}</strong>.</p>`;
  const addresses = protocol === "udp"
    ? []
    : port === 22
    ? [`ssh://${host}`]
    : port === 443 || port === 80
    ? [`${port === 443 ? "https" : "http"}://${host}/`]
    : BROWSER_BLOCKED_PORTS.has(port)
    ? []
    : [`https://${host}:${port}/`, `http://${host}:${port}/`];
  return [
    text,
    ...addresses.map((address) =>
      `<a class="go" href="${escaped(address)}" target="_blank" rel="noopener noreferrer">Open ${
        escaped(address)
      }</a>`
    ),
  ].join("\n");
}

/** A source expression of the policy. */
function hash(text: string): string {
  const digest = sha256(new TextEncoder().encode(text));
  return `sha256-${btoa(String.fromCharCode(...digest))}`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** JSON that ends no script element and begins no comment. */
function jsonInHtml(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}
