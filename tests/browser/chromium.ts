// Chromium under test: headless, in a network namespace, driven over the Chrome DevTools Protocol.
// The protocol goes through a pair of pipes (--remote-debugging-pipe), JSON ended by NUL: a socket
// would be inside the namespace, out of reach for the test.

import { enter, sleep } from "../support/netns.ts";

/** A parameter or result of the protocol. */
// deno-lint-ignore no-explicit-any
export type Json = any;

/** One page in a running Chromium. */
export interface Page {
  /** Calls a method of the protocol on this page. */
  call(method: string, params?: Json): Promise<Json>;
  /** Everything the page reported under that name of event, so far. */
  seen(event: string): Json[];
  /** Opens an address and waits until it is loaded. */
  open(url: string): Promise<void>;
  /** The value of an expression, awaited. */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  until(expression: string, timeoutMs?: number): Promise<void>;
  /** Presses and releases a key, as a person at a keyboard: "Tab", "Enter", "Space". */
  press(key: "Tab" | "Enter" | "Space"): Promise<void>;
  /** Types text into what has the focus. */
  type(text: string): Promise<void>;
  /** A picture of what is visible, as PNG. */
  screenshot(): Promise<Uint8Array>;
}

/** A running Chromium, gone with its profile folder when the scope ends. */
export interface Chromium extends AsyncDisposable {
  /** A new, empty page. */
  page(): Promise<Page>;
}

const START_MS = 30_000;
const END_MS = 10_000;
const KEYS = {
  Tab: { key: "Tab", code: "Tab", windowsVirtualKeyCode: 9 },
  Enter: { key: "Enter", code: "Enter", windowsVirtualKeyCode: 13, text: "\r" },
  Space: { key: " ", code: "Space", windowsVirtualKeyCode: 32, text: " " },
};

/** Starts Chromium in a namespace. */
export async function startChromium(ns: string, ...flags: string[]): Promise<Chromium> {
  const home = await Deno.makeTempDir({ prefix: "pk-chromium-" });
  const [program, ...entering] = enter(ns);
  const child = new Deno.Command(program, {
    args: [
      ...entering,
      ...["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null', "chromium"],
      ...["--headless", "--no-sandbox", "--remote-debugging-pipe", `--user-data-dir=${home}`],
      ...["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
      // Nothing of the browser's own on the wire, which has no way to the Internet.
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      ...flags,
      "about:blank",
    ],
    env: { HOME: home },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const connection = connect(child.stdin, child.stdout);
  const chromium: Chromium = {
    page: () => openPage(connection),
    async [Symbol.asyncDispose]() {
      const killer = setTimeout(() => child.kill("SIGKILL"), END_MS);
      connection.call("Browser.close").catch(() => {});
      await child.status;
      clearTimeout(killer);
      await connection.ended;
      await Deno.remove(home, { recursive: true }).catch(() => {});
    },
  };
  try {
    // One that does not start is ended, and this call with it.
    const killer = setTimeout(() => child.kill("SIGKILL"), START_MS);
    await connection.call("Browser.getVersion").finally(() => clearTimeout(killer));
    return chromium;
  } catch (error) {
    await chromium[Symbol.asyncDispose]();
    throw error;
  }
}

interface Connection {
  call(method: string, params?: Json, sessionId?: string): Promise<Json>;
  /** Hands a session's events to who listens. */
  listen(sessionId: string, listener: (method: string, params: Json) => void): void;
  readonly ended: Promise<void>;
}

function connect(
  stdin: WritableStream<Uint8Array>,
  stdout: ReadableStream<Uint8Array>,
): Connection {
  const writer = stdin.getWriter();
  const calls = new Map<number, PromiseWithResolvers<Json>>();
  const listeners = new Map<string, (method: string, params: Json) => void>();
  let last = 0;
  const ended = (async () => {
    let rest = "";
    for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
      const messages = (rest + text).split("\0");
      rest = messages.pop() ?? "";
      for (const message of messages) {
        const { id, result, error, method, params, sessionId } = JSON.parse(message);
        if (id === undefined) listeners.get(sessionId)?.(method, params);
        else if (error) calls.get(id)?.reject(new Error(`${error.message} ${error.data ?? ""}`));
        else calls.get(id)?.resolve(result);
        calls.delete(id);
      }
    }
    for (const { reject } of calls.values()) reject(new Error("Chromium has ended"));
    await writer.close().catch(() => {});
  })();
  return {
    async call(method, params, sessionId) {
      const id = ++last;
      const answer = Promise.withResolvers<Json>();
      calls.set(id, answer);
      const message = JSON.stringify({ id, method, params: params ?? {}, sessionId });
      await writer.write(new TextEncoder().encode(`${message}\0`));
      return await answer.promise;
    },
    listen: (sessionId, listener) => void listeners.set(sessionId, listener),
    ended,
  };
}

async function openPage(connection: Connection): Promise<Page> {
  const { targetId } = await connection.call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await connection.call("Target.attachToTarget", { targetId, flatten: true });
  const events: [string, Json][] = [];
  const call = (method: string, params: Json = {}) => connection.call(method, params, sessionId);
  const seen = (name: string) => events.flatMap(([event, data]) => event === name ? [data] : []);
  connection.listen(sessionId, (method, params) => events.push([method, params]));
  for (const domain of ["Page", "Runtime", "Network", "Log"]) await call(`${domain}.enable`);

  async function evaluate<T>(expression: string): Promise<T> {
    const asked = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails: failure } = await call("Runtime.evaluate", asked);
    if (failure) throw new Error(failure.exception?.description ?? failure.text);
    return result.value;
  }
  async function until(expression: string, timeoutMs = 10_000): Promise<void> {
    for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(20)) {
      if (await evaluate<boolean>(`!!(${expression})`)) return;
    }
    const text = await evaluate("document.body.innerText");
    throw new Error(`Not within ${timeoutMs} ms: ${expression}\nThe page says:\n${text}`);
  }
  return {
    call,
    seen,
    evaluate,
    until,
    async open(url) {
      const { errorText } = await call("Page.navigate", { url });
      if (errorText) throw new Error(`Cannot open ${url}: ${errorText}`);
      await until(`document.readyState === "complete" && location.href !== "about:blank"`);
    },
    async press(key) {
      await call("Input.dispatchKeyEvent", { type: "keyDown", ...KEYS[key] });
      await call("Input.dispatchKeyEvent", { type: "keyUp", ...KEYS[key] });
    },
    type: (text) => call("Input.insertText", { text }),
    async screenshot() {
      const { data } = await call("Page.captureScreenshot", { format: "png" });
      return Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    },
  };
}
