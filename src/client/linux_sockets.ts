// Knocks through libc: exactly one packet each, and refusals with the kernel's own reason.

import {
  interfaceIndex,
  requirePingSocket,
  sendDatagram,
  sendEchoRequest,
  sendSyn,
  sourceTowards,
} from "../../ffi/knock_socket.ts";
import { HostError, KernelError } from "../errors.ts";
import type { Destination, KnockSockets } from "./knock_sockets.ts";

export const linuxSockets: KnockSockets = {
  tcp: (to, port) => promised(() => sendSyn(to, port), to, `tcp/${port}`),
  udp: (to, port, payload) => promised(() => sendDatagram(to, port, payload), to, `udp/${port}`),
  echo: (to, payload, sequence) =>
    promised(() => sendEchoRequest(to, payload, sequence), to, ECHO_REQUEST),
  requireEcho: (to, bytes) =>
    sending(() => requirePingSocket(to), to, ECHO_REQUEST, { EACCES: pingHint(bytes, to.text) }),
  sourceTowards: (to) => promised(() => sourceTowards(to), to, "a packet"),
  interfaceIndex,
};

const ECHO_REQUEST = "an echo request";

const NO_ROUTE = "Look at the routes (ip route get ADDRESS); is there IPv6 here? -4 and -6 choose";
const OWN_FIREWALL = "This host's own firewall or routing forbids it (nft list ruleset, ip route)";

/** What to do about a refusal, by errno. */
const HINTS: Readonly<Record<string, string>> = {
  ENETUNREACH: NO_ROUTE,
  EHOSTUNREACH: NO_ROUTE,
  EADDRNOTAVAIL: NO_ROUTE,
  EAFNOSUPPORT: NO_ROUTE,
  EPERM: OWN_FIREWALL,
  EACCES: OWN_FIREWALL,
  EINVAL: "Is the address one that packets can be sent to? Link-local ones need %interface",
  EMFILE: "Too many files are open here (ulimit -n)",
};

function promised<T>(send: () => T, to: Destination, what: string): Promise<T> {
  return new Promise((fulfil) => fulfil(sending(send, to, what)));
}

/** Does it, and gives a refusal its words. */
function sending<T>(
  send: () => T,
  to: Destination,
  what: string,
  hints: Readonly<Record<string, string>> = {},
): T {
  try {
    return send();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const hint = hints[error.code] ?? HINTS[error.code] ?? "Look at the network of this host";
    throw new HostError(`Cannot send ${what} to ${to.text}: ${reasonOf(error.code)}`, hint);
  }
}

function reasonOf(code: string): string {
  if (code === "ENETUNREACH" || code === "EHOSTUNREACH") return `no route (${code})`;
  return code === "EPERM" || code === "EACCES" ? `not permitted (${code})` : code;
}

function pingHint(bytes: number, host: string): string {
  return `Allow ping sockets: sysctl -w net.ipv4.ping_group_range="0 2147483647", or knock with ` +
    `ping -s ${bytes} -c 1 ${host}`;
}
