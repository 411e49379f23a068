// pk connect: knocks, then joins standard input and output with the opened port. For ssh's
// ProxyCommand: nothing but the connection's bytes is ever written to standard output.

import {
  argument,
  command,
  constant,
  type InferValue,
  lineBreak,
  message,
  object,
  option,
  optional,
  string,
} from "@optique/core";
import { DELAY_MS, sendKnocks } from "../client/knocker.ts";
import { type Dial, dial, dialSocket, openConnection } from "../client/connection.ts";
import { failureOf } from "../client/failure.ts";
import { delayOf, familyOf, tcpPortOf, timeoutOf } from "../client/flags.ts";
import { clientHere, type Here } from "../client/here.ts";
import { findProfile, hostsFile } from "../client/hosts_file.ts";
import { join } from "../client/join.ts";
import { joinPipes } from "../client/join_pipes.ts";
import type { Destination } from "../client/knock_sockets.ts";
import type { Profile } from "../client/profile.ts";
import { resolveProfile } from "../client/resolve.ts";
import { openSequences } from "../client/sequence.ts";
import type { Port } from "../config/config.ts";
import { stepText } from "../config/step.ts";
import { writeLine } from "../daemon/log.ts";
import { passDescriptor } from "../../ffi/passed_socket.ts";
import { canSplice, closeOutput, pipeConnection } from "../../ffi/splice.ts";
import { HostError, KernelError, UsageError } from "../errors.ts";
import { EXIT } from "./exit.ts";
import { path, value } from "./value.ts";

/** How long a port that is perhaps still open may take to answer: more than most ways take. */
const FIRST_TRY_MS = 700;

/** How long resets are taken for a grant that is on its way. */
const REFUSED_MS = 1_500;

export const connect = command(
  "connect",
  object({
    command: constant("connect"),
    delay: optional(option("-d", "--delay", value("MS"), {
      description: message`Milliseconds between two knocks. Default: 5`,
    })),
    ipv4: option("-4", "--ipv4", { description: message`Use the host's IPv4 address` }),
    ipv6: option("-6", "--ipv6", { description: message`Use the host's IPv6 address` }),
    timeout: optional(option("--timeout", value("TIME"), {
      description: message`How long the port may take to open. Default: 10s`,
    })),
    passFd: option("--pass-fd", {
      description:
        message`Hand the connection over to ssh (ProxyUseFdpass yes), so that no byte takes the way through pk. Linux only`,
    }),
    verbose: option("-v", "--verbose", {
      description: message`Say on standard error what is done`,
    }),
    profiles: optional(option("--profiles", path("FILE"), {
      description: message`Profiles. Default: ~/.config/pk/hosts.yaml`,
    })),
    host: argument(string({ metavar: "PROFILE" }), {
      description: message`A profile of hosts.yaml, by its name or by its host`,
    }),
    port: optional(argument(string({ metavar: "PORT" }), {
      description: message`The TCP port to connect to. Default: the one that the profile opens`,
    })),
  }),
  {
    brief: message`Knock, then join standard input and output with the opened port`,
    description:
      message`Knocks as the profile says, connects, and passes bytes both ways until both sides have ended. What each sequence opens only once is not knocked again while the port is open: a second session gets in through the first one's grant.`,
    footer: [
      ...message`With these lines in ~/.ssh/config, ssh server simply works:`,
      lineBreak(),
      ...message`  Host server`,
      lineBreak(),
      ...message`    HostName server.example.net`,
      lineBreak(),
      ...message`    ProxyCommand pk connect %h %p`,
      lineBreak(),
      lineBreak(),
      ...message`Transfers are as fast as without pk with this instead of the last line:`,
      lineBreak(),
      ...message`    ProxyCommand pk connect --pass-fd %h %p`,
      lineBreak(),
      ...message`    ProxyUseFdpass yes`,
      lineBreak(),
      lineBreak(),
      ...message`Other examples:`,
      lineBreak(),
      ...message`  pk connect server`,
      lineBreak(),
      ...message`  pk connect server 8443 < request`,
    ],
  },
);

export type ConnectFlags = Omit<InferValue<typeof connect>, "command">;

/** @returns the exit code. */
export async function connectCommand(flags: ConnectFlags): Promise<number> {
  const here = clientHere((line) => writeLine(`pk: ${line}`));
  const asked = flags.port === undefined ? undefined : tcpPortOf("the port", flags.port).port;
  const profile = findProfile(hostsFile(here, flags.profiles), flags.host, asked);
  const port = asked ?? openedPort(profile);
  const delayMs = delayOf(flags.delay);
  const timeoutMs = timeoutOf(flags.timeout);
  const to = await resolveProfile(here.sockets, profile, familyOf(flags));
  const linux = here.os === "linux";
  // The kernel can join pipes with any connection of its own; Deno's streams take what is left.
  const asDescriptor = flags.passFd || (linux && canSplice());
  if (to.scope !== 0 && !asDescriptor) {
    throw new UsageError(
      `Cannot join a connection to ${to.text}: it is an address of one link only`,
      "Use pipes, another address of the host, or --pass-fd",
    );
  }
  const wish = { port, delayMs, timeoutMs, verbose: flags.verbose };
  if (asDescriptor) {
    using connection = await knockAndConnect(here, profile, to, wish, dialSocket);
    if (flags.passFd) passOn(connection.fd);
    else joinPipes(pipeConnection(connection.fd));
    return EXIT.ok;
  }
  const connection = await knockAndConnect(here, profile, to, wish, dial);
  connection.setNoDelay(true); // a keystroke does not wait for the answer to the one before
  const close = linux ? closeOutput : () => Deno.stdout.close();
  await join(connection, Deno.stdin, { write: (bytes) => Deno.stdout.write(bytes), close });
  return EXIT.ok;
}

const STDOUT = 1;

function passOn(fd: number): void {
  try {
    passDescriptor(STDOUT, fd);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new HostError(
      `Cannot pass the connection on: ${error.code}`,
      "--pass-fd is for ssh with ProxyUseFdpass yes",
    );
  }
}

interface Wish {
  readonly port: number;
  readonly delayMs: number;
  readonly timeoutMs: number;
  readonly verbose: boolean;
}

async function knockAndConnect<T extends object>(
  here: Here,
  profile: Profile,
  to: Destination,
  { port, delayMs, timeoutMs, verbose }: Wish,
  dial: Dial<T>,
): Promise<T> {
  const tell = verbose ? here.tell : () => {};
  {
    using sequences = await openSequences(here, profile, to);
    if (sequences.scarce) {
      tell(`the door was opened lately: trying tcp/${port} first`);
      const limits = { timeoutMs: Math.min(FIRST_TRY_MS, timeoutMs), refusedMs: 0 };
      const connection = await openConnection(dial, to, port, limits);
      if (typeof connection === "object") return connection;
    }
    await sendKnocks(here.sockets, to, await sequences.take(), delayMs, ({ step }) => {
      tell(`knocked ${stepText(step)} at ${to.text}`);
    });
  }
  await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
  const connection = await openConnection(dial, to, port, { timeoutMs, refusedMs: REFUSED_MS });
  if (typeof connection === "object") return connection;
  const { reason, hint } = failureOf(connection, profile, to, timeoutMs);
  throw new HostError(`Cannot connect to tcp/${port} at ${to.text}: ${reason}`, hint);
}

function openedPort({ name, opens }: Profile): Port {
  if (opens !== undefined) return tcpPortOf("the profile's port", stepText(opens)).port;
  throw new UsageError(
    "Cannot tell which port to connect to",
    `Say it (pk connect ${name} 22), or write it into the profile (opens: tcp/22)`,
  );
}
