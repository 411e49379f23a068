// What the daemon says of itself and its doors when it starts, and when they change.

import {
  type Config,
  type Door,
  endpointsOf,
  type PortRange,
  PUBLIC_SEQUENCE,
  tcpStep,
} from "../config/config.ts";
import { KernelError } from "../errors.ts";
import { type Installed, isOwned } from "../firewall/firewall.ts";
import { isPassphrase } from "../knock/encrypted_message.ts";
import { strengthOfSteps } from "../knock/strength.ts";
import type { Session } from "../netlink/sock_diag.ts";
import { formatAddress } from "../packet/address.ts";
import { portFields } from "./fields.ts";
import { alwaysSendsCookies, sshSessionPort } from "./host.ts";
import type { Fields, Log } from "./log.ts";
import { notifyServiceManager } from "./notify.ts";

const SESSIONS_SHOWN = 20;
/** Above that a number says nothing. */
const SCANS_TOLD = 1_000_000;
/** That many make two seconds of two processors. */
const PASSPHRASES_TOLD = 10;

/** Everything that one door or another opens. */
export function guardedRanges({ doors }: Config): PortRange[] {
  return doors.flatMap(({ opens }) => opens);
}

/** What a guesser has on the sequences; never their ports. The public one is warned of before. */
export function tellWeakness({ doors, decoys }: Config, log: Log): void {
  for (const { name, knock, weakAccepted } of doors) {
    if (knock.kind !== "plain" || weakAccepted || isPublic(knock.steps)) continue;
    const { weaknesses, scans } = strengthOfSteps(knock.steps, decoys);
    if (weaknesses.length === 0) continue;
    log("warning", "weak sequence", {
      door: name,
      reasons: `the sequence ${weaknesses.join(", ")}`,
      ...(scans <= SCANS_TOLD ? { scans } : {}),
      hint: "choose five ports or more, in no order, and add decoys",
    });
  }
}

function isPublic(steps: readonly unknown[]): boolean {
  return JSON.stringify(steps) === JSON.stringify(PUBLIC_SEQUENCE.map(tcpStep));
}

/** Doors whose file of one-time sequences has none left. */
export function tellUsedUp(doors: readonly Door[], log: Log): void {
  for (const { name, knock } of doors) {
    if (knock.kind !== "one-time" || knock.sequences.length > 0) continue;
    log("warning", "sequences used up", { door: name, hint: `add new ones to ${knock.file}` });
  }
}

/** Users whose passphrases take their time before pk is ready. */
export function tellPassphrases(doors: readonly Door[], log: Log): void {
  const users = doors.flatMap(({ knock }) => knock.kind === "encrypted" ? knock.users : [])
    .filter(({ secret }) => isPassphrase(secret)).length;
  if (users < PASSPHRASES_TOLD) return;
  log("warning", "many passphrases", {
    users,
    hint: "each takes about 0.3 s at the start; keys of pk secret take none, and cannot be guessed",
  });
}

/** Warns who would lock themselves out. */
export function tellSshSession(config: Config, log: Log): void {
  const port = sshSessionPort(Deno.env.get("SSH_CONNECTION"));
  const guarded = endpointsOf(guardedRanges(config));
  if (port === undefined || !guarded.some((one) => one.protocol === "tcp" && one.port === port)) {
    return;
  }
  log("warning", "guards your ssh session", {
    port,
    hint: "this session lives on, new ones need the knock: try it from a second terminal " +
      "before you close this one; pk down undoes everything",
  });
}

/** Warns where segments that are not judged could make a connection. */
export function tellCookies({ filter }: Config, log: Log): void {
  if (filter === "stateful" || !alwaysSendsCookies()) return;
  log("warning", "guessed cookies", {
    filter,
    hint: "with net.ipv4.tcp_syncookies=2 about one ACK in 2^29 makes a connection without " +
      "a SYN, from anybody: set it to 1, or take the stateful filter",
  });
}

/** Tells the log and the service manager that pk guards. */
export function tellReady(
  config: Config,
  installed: Installed,
  sessions: readonly Session[],
  log: Log,
): void {
  for (const { source, port } of sessions.slice(0, SESSIONS_SHOWN)) {
    log("debug", "inherited", { source: formatAddress(source), port });
  }
  log("info", "ready", {
    ...doorFields(config),
    queue: config.queueNumber,
    adopted: installed.adopted,
    grants: installed.grants.length,
    inherited: sessions.length,
    owner: isOwned(installed.form),
    queueKind: installed.form.queueKind,
    hint: "pk only shuts: the host's own firewall must allow the guarded port",
  });
  try {
    notifyServiceManager("READY=1");
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    log("warning", "service manager not told", { reason: error.message });
  }
}

/** What is guarded, and by how many doors where there are several. */
export function doorFields(config: Config): Fields {
  const { doors } = config;
  const ports = portFields(endpointsOf(guardedRanges(config)));
  return doors.length === 1 ? ports : { doors: doors.length, ...ports };
}
