// Profiles and their pages as files, for tests that open them in Chromium.

import { ok } from "node:assert/strict";
import type { Profile } from "../../src/client/profile.ts";
import { type Milliseconds, type Port, tcpStep } from "../../src/config/config.ts";
import { pageOf } from "../../src/page/page.ts";
import type { Family } from "../support/netns.ts";
import type { Chromium, Page } from "./chromium.ts";

/** The plain sequence. */
export const PORTS = [7153, 2918, 8461, 5307, 9822];

/** A plain door at a server of the lab. */
export function plain({ server }: Family): Profile {
  return profile(server, { kind: "plain", steps: PORTS.map(tcpStep) });
}

/** A rotating door that binds the source. */
export function rotating(host: string): Profile {
  const ports = { protocol: "tcp", first: 20_000 as Port, last: 21_023 as Port } as const;
  const stepMs = 30_000 as Milliseconds;
  const knocks = 5;
  return profile(host, {
    kind: "rotating",
    secretFile: "x",
    ports,
    knocks,
    stepMs,
    bindSource: true,
  });
}

function profile(host: string, knock: Profile["knock"]): Profile {
  const opens = { protocol: "tcp", port: 2222 as Port } as const;
  return { name: "ssh", host, door: "ssh", opens, knock, address: undefined };
}

export interface OpenFile extends Page, AsyncDisposable {}

/** Opens a profile's page as a file. */
export async function openFile(
  chromium: Chromium,
  profile: Profile,
  embedSecret: boolean,
): Promise<OpenFile> {
  const folder = await temporaryFolder();
  const file = `${folder.path}/knock.html`;
  await Deno.writeTextFile(file, pageOf(profile, { embedSecret }));
  const page = await chromium.page();
  await page.open(`file://${file}`);
  const shown = await page.evaluate(`!document.getElementById("knock").hidden`);
  ok(shown, "the script did not run");
  return { ...page, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "pk-page-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
