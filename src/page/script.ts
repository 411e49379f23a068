// What the page does in the browser. Becomes its script as source text: each function uses nothing but
// its arguments, what a browser has, and the functions of SCRIPT_PARTS.
//
// A knock is a request that is given up after 200 ms. Chromium, measured: one SYN goes out at once,
// also to a port that was knocked before; after 250 ms without an answer a second one would, from
// another port; the kernel repeats the first after 1 s, which pk knows as a repetition. WebSockets
// send one SYN, too, but Chromium holds back those of a page many of which have failed. A request that
// is given up while the name is looked up goes out all the same, so slow names delay all knocks alike.

import { addressBytes, derivePorts, keyBytes, nextStep, typedPorts } from "./derive.ts";
import { hmacSha256, sha256 } from "./sha256.ts";

/** What a page is made for, as it stands in the page. */
export interface PageData {
  /** As in an address: a name, an IPv4 address, or an IPv6 address in brackets. */
  readonly host: string;
  /** A host in a private network, of which browsers may ask before a page reaches it. */
  readonly hostIsLocal: boolean;
  readonly knock: PlainData | RotatingData;
  /** Ports that browsers refuse. */
  readonly blocked: readonly number[];
}

export interface PlainData {
  readonly kind: "plain";
  /** Undefined: they are typed. */
  readonly ports: readonly number[] | undefined;
  /** Least time before each of them, where there is one. */
  readonly afterMs: readonly number[];
}

export interface RotatingData {
  readonly kind: "rotating";
  readonly door: string;
  readonly first: number;
  readonly last: number;
  readonly knocks: number;
  readonly stepMs: number;
  readonly bindSource: boolean;
  /** Undefined: it is typed. */
  readonly key: string | undefined;
}

/** What became of a knock. Only the browser knows why one was refused. */
export type KnockOutcome = "refused" | "silent" | "answered";

/**
 * One knock, over as soon as there is an answer.
 *
 * @param waitMs how long to wait for one.
 */
export async function knockOn(url: string, waitMs: number): Promise<KnockOutcome> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), waitMs);
  try {
    await fetch(url, {
      mode: "no-cors",
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      signal: giveUp.signal,
    });
    return "answered";
  } catch {
    return giveUp.signal.aborted ? "silent" : "refused";
  } finally {
    clearTimeout(timer);
  }
}

/** Of a browser, what the page uses. Its whole types (lib.dom) would change Deno's everywhere. */
export interface Browser {
  readonly document: {
    getElementById(id: string): PageElement | null;
    createElement(name: string): PageElement;
    addEventListener(name: "securitypolicyviolation", listener: () => void): void;
  };
  readonly location: { readonly protocol: string };
  readonly navigator: { readonly onLine: boolean };
}

interface PageElement {
  textContent: string;
  className: string;
  hidden: boolean;
  type: string;
  value: string;
  checked: boolean;
  focus(): void;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  appendChild(child: PageElement): PageElement;
  replaceChildren(): void;
  addEventListener(name: string, listener: (event: { preventDefault(): void }) => void): void;
}

/** Brings the page to life. */
export function startPage(data: PageData, { document, location, navigator }: Browser): void {
  const { host, knock } = data;
  const field = (id: string) => document.getElementById(id);
  const element = (id: string) => field(id) as PageElement;
  const [status, problem, button] = [element("status"), element("problem"), element("knock")];
  const [secret, address, show] = [field("secret"), field("address"), field("show")];
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  let busy = false;
  let blocked = false;
  let lastTimeStep: number | undefined;

  const say = (text: string, kind = "") => {
    status.textContent = text;
    status.className = kind;
  };
  const complain = (at: PageElement | null, text: string) => {
    problem.textContent = text;
    at?.setAttribute("aria-invalid", "true");
    at?.focus();
    return undefined;
  };

  /** The ports to be knocked, when it is their time; undefined after a complaint. */
  async function takePorts(): Promise<readonly number[] | undefined> {
    if (knock.kind === "plain") {
      const ports = knock.ports ?? typedPorts(secret?.value ?? "", data.blocked);
      return typeof ports === "string" ? complain(secret, ports) : ports;
    }
    const key = keyBytes(knock.key ?? secret?.value ?? "");
    if (!key) {
      return complain(secret, "A key has eight groups of four letters and digits (2 to 7).");
    }
    const own = knock.bindSource ? addressBytes(address?.value ?? "") : new Uint8Array();
    if (!own) return complain(address, "An address looks like 203.0.113.5 or 2001:db8::5.");
    const { timeStep, waitMs } = nextStep(lastTimeStep, Date.now(), knock.stepMs);
    if (waitMs > 0) {
      say(`Each sequence opens once: waiting ${Math.ceil(waitMs / 1000)} s for a new one`);
      await sleep(waitMs);
    }
    lastTimeStep = timeStep;
    return derivePorts({ ...knock, key, timeStep, address: own });
  }

  async function knockAll(ports: readonly number[]): Promise<void> {
    // A page that came encrypted may send encrypted requests only; the port is knocked alike.
    const scheme = location.protocol === "https:" ? "https:" : "http:";
    const words = {
      refused: "sent, refused",
      silent: "sent, no answer",
      answered: "sent, answered",
    };
    const steps = element("steps");
    steps.replaceChildren();
    for (const [index, port] of ports.entries()) {
      say(`Knocking: ${index + 1} of ${ports.length}`);
      const item = steps.appendChild(document.createElement("li"));
      item.textContent = "knocking";
      const afterMs = knock.kind === "plain" ? knock.afterMs[index] ?? 0 : 0;
      // Knocks that follow each other closely can overtake each other on their way.
      if (index > 0) await sleep(Math.max(20, afterMs));
      const outcome = await knockOn(`${scheme}//${host}:${port}/`, 200);
      item.textContent = blocked ? "not sent: the browser refused" : words[outcome];
    }
  }

  async function run(): Promise<void> {
    element("next").hidden = true;
    element("local").hidden = true;
    problem.textContent = "";
    blocked = false;
    for (const input of [secret, address]) input?.removeAttribute("aria-invalid");
    const ports = await takePorts();
    if (!ports) return say("");
    await knockAll(ports);
    if (blocked) return say("Not sent: the browser does not let this page reach the host", "bad");
    if (!navigator.onLine) return say("Not sent: this device is offline", "bad");
    element("local").hidden = !data.hostIsLocal || location.protocol === "file:";
    say(`All ${ports.length} knocks are sent`, "good");
    element("next").hidden = false;
  }

  document.addEventListener("securitypolicyviolation", () => blocked = true);
  show?.addEventListener("change", () => {
    if (secret) secret.type = show.checked ? "text" : "password";
  });
  element("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    // Not `disabled`: the keyboard's focus would be lost.
    button.setAttribute("aria-disabled", "true");
    try {
      await run();
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });
  button.hidden = false;
}

/** Everything that the page's script consists of, before the call of `startPage`. */
export const SCRIPT_PARTS: readonly ((...args: never[]) => unknown)[] = [
  ...[sha256, hmacSha256, derivePorts, keyBytes, addressBytes, typedPorts],
  ...[nextStep, knockOn, startPage],
];
