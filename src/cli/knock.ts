// pk knock: the client. The command line of the well-known `knock`, and profiles.

import {
  argument,
  command,
  constant,
  type InferValue,
  lineBreak,
  message,
  multiple,
  object,
  option,
  optional,
  string,
} from "@optique/core";
import { DELAY_MS, sendKnocks, type Sent } from "../client/knocker.ts";
import { delayOf, familyOf, tcpPortOf, timeoutOf } from "../client/flags.ts";
import { clientHere, type Here } from "../client/here.ts";
import { findProfile, hostsFile, typedProfile } from "../client/hosts_file.ts";
import type { Destination } from "../client/knock_sockets.ts";
import { type Dial, dial, dialSocket, openConnection } from "../client/connection.ts";
import type { Profile } from "../client/profile.ts";
import { resolveProfile } from "../client/resolve.ts";
import { openSequences } from "../client/sequence.ts";
import { failureOf } from "../client/failure.ts";
import type { Endpoint } from "../config/config.ts";
import { stepText } from "../config/step.ts";
import { writeLine } from "../daemon/log.ts";
import { HostError, UsageError } from "../errors.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";
import { path, value } from "./value.ts";

export const knock = command(
  "knock",
  object({
    command: constant("knock"),
    udp: option("-u", "--udp", { description: message`Knocks that name no protocol are UDP` }),
    delay: optional(option("-d", "--delay", value("MS"), {
      description:
        message`Milliseconds between two knocks. Default: 5, since packets sent at once can arrive in another order; 0 sends them at once`,
    })),
    ipv4: option("-4", "--ipv4", { description: message`Use the host's IPv4 address` }),
    ipv6: option("-6", "--ipv6", { description: message`Use the host's IPv6 address` }),
    wait: option("--wait", {
      description:
        message`Say whether the port opened (of a profile: the one it opens) and how soon; exit with 1 if it did not. Also --wait=PORT`,
    }),
    waitFor: optional(option("--wait-for", value("PORT"), { hidden: true })),
    timeout: optional(option("--timeout", value("TIME"), {
      description: message`How long --wait waits. Default: 10s`,
    })),
    json: option("--json", { description: message`One line of JSON on standard output` }),
    verbose: option("-v", "--verbose", { description: message`Say each knock` }),
    profiles: optional(option("--profiles", path("FILE"), {
      description: message`Profiles. Default: ~/.config/pk/hosts.yaml`,
    })),
    host: argument(string({ metavar: "HOST" }), {
      description: message`A name or address; with no knocks after it, a profile`,
    }),
    knocks: multiple(argument(string({ metavar: "KNOCK" }), {
      description:
        message`7000 (TCP), 8123:udp or udp/8123, icmp/56 or icmp6/56 (a ping with so many bytes); up to 32`,
    })),
  }),
  {
    brief: message`Knock: open a door of this or of another server`,
    description:
      message`Sends a sequence of knocks to a host, as the knock client does, or the one of a profile. A TCP knock is one SYN that is never repeated. The host's first address is used, and no other.`,
    footer: [
      ...message`Examples:`,
      lineBreak(),
      ...message`  pk knock server.example.net 7000 8123:udp 9321`,
      lineBreak(),
      ...message`  pk knock --wait=22 server.example.net tcp/7000 udp/8123 icmp/56`,
      lineBreak(),
      ...message`  pk knock server --wait`,
      lineBreak(),
      lineBreak(),
      ...message`A profile in hosts.yaml:`,
      lineBreak(),
      ...message`  hosts:`,
      lineBreak(),
      ...message`    server:`,
      lineBreak(),
      ...message`      host: server.example.net`,
      lineBreak(),
      ...message`      opens: tcp/22`,
      lineBreak(),
      ...message`      knock: [tcp/7000, udp/8123, tcp/9321]`,
      lineBreak(),
      lineBreak(),
      ...message`Rotating and encrypted sequences are made of the name of the server's door, too:`,
      lineBreak(),
      ...message`where the profile is called otherwise, it needs "door: NAME".`,
      lineBreak(),
      ...message`    admin-of-work:`,
      lineBreak(),
      ...message`      host: server.example.net`,
      lineBreak(),
      ...message`      opens: tcp/8443`,
      lineBreak(),
      ...message`      door: admin`,
      lineBreak(),
      ...message`      knock: { rotating: { secret-file: admin.secret } }`,
    ],
  },
);

export type KnockFlags = Omit<InferValue<typeof knock>, "command">;

/** `--wait=PORT` and `-d500` as the parser takes them. */
export function knockSpelling(args: readonly string[]): string[] {
  if (args[0] !== "knock" && args[0] !== "connect") return [...args];
  return args.flatMap((argument) => {
    const [, port] = /^--wait=(.*)$/s.exec(argument) ?? [];
    if (port !== undefined) return ["--wait-for", port];
    const [, delay] = /^-d(\d+)$/.exec(argument) ?? [];
    return delay === undefined ? [argument] : ["-d", delay];
  });
}

/** @returns the exit code. */
export async function knockCommand(flags: KnockFlags): Promise<number> {
  const here = clientHere((line) => writeLine(`pk: ${line}`));
  const profile = profileOf(here, flags);
  const awaited = awaitedPort(flags, profile);
  const delayMs = delayOf(flags.delay);
  const timeoutMs = timeoutOf(flags.timeout);
  const to = await resolveProfile(here.sockets, profile, familyOf(flags));
  const knocks: Sent[] = [];
  {
    using sequences = await openSequences(here, profile, to);
    await sendKnocks(here.sockets, to, await sequences.take(), delayMs, (sent) => {
      knocks.push(sent);
      if (flags.verbose) here.tell(`knocked ${stepText(sent.step)} at ${to.text}`);
    });
  }
  const report = { profile, to, knocks };
  if (awaited === undefined) {
    if (flags.json) printJson(report, {});
    return EXIT.ok;
  }
  return await waitUntilOpen(here, flags, report, awaited, timeoutMs);
}

interface Report {
  readonly profile: Profile;
  readonly to: Destination;
  readonly knocks: readonly Sent[];
}

async function waitUntilOpen(
  { os }: Here,
  flags: KnockFlags,
  report: Report,
  awaited: Endpoint,
  timeoutMs: number,
): Promise<number> {
  const { profile, to } = report;
  const port = stepText(awaited);
  const knocked = performance.now();
  await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
  // Deno cannot connect to link-local addresses.
  const probe: Dial<Disposable> = os === "linux" ? dialSocket : dial;
  const connection = await openConnection(probe, to, awaited.port, { timeoutMs });
  const openMs = milliseconds(performance.now() - knocked);
  if (typeof connection !== "string") {
    connection[Symbol.dispose]();
    if (flags.json) printJson(report, { port, open: true, openMs });
    else print(`${port} at ${to.text} is open, ${openMs} ms after the last knock\n`);
    return EXIT.ok;
  }
  const { reason, hint } = failureOf(connection, profile, to, timeoutMs);
  if (!flags.json) throw new HostError(`${port} at ${to.text} did not open: ${reason}`, hint);
  printJson(report, { port, open: false, reason, hint });
  return EXIT.failure;
}

/** One line that stays as it is: fields may be added, none goes or changes its meaning. */
function printJson({ profile, to, knocks }: Report, outcome: Readonly<Record<string, unknown>>) {
  print(`${
    JSON.stringify({
      ...(profile.name === undefined ? {} : { profile: profile.name }),
      host: profile.host,
      address: to.text,
      knocks: knocks.map(({ step, atMs }) => ({ knock: stepText(step), atMs: milliseconds(atMs) })),
      ...outcome,
    })
  }\n`);
}

function profileOf(here: Here, flags: KnockFlags): Profile {
  if (flags.knocks.length > 0) return typedProfile(flags.host, flags.knocks, flags.udp);
  return findProfile(hostsFile(here, flags.profiles), flags.host);
}

function awaitedPort({ wait, waitFor }: KnockFlags, { opens }: Profile): Endpoint | undefined {
  if (waitFor !== undefined) return tcpPortOf("--wait", waitFor);
  if (!wait) return undefined;
  if (opens === undefined) {
    throw new UsageError("Cannot tell which port to wait for", "Say it: --wait=22");
  }
  return tcpPortOf("--wait", stepText(opens));
}

function milliseconds(ms: number): number {
  return Math.round(ms * 10) / 10;
}
