// What has to be known of the host before anything is touched: rights, the other pk, the ssh session.
// Reads under /proc go through libc.

import { type FileLock, lockFile, makeFolder, readLink, readTextFile } from "../../ffi/file.ts";
import { parentPid } from "../../ffi/process.ts";
import { HostError, KernelError } from "../errors.ts";

const CAP_NET_ADMIN = 12n;
const RUN_FOLDER = "/run/pk";
const ANCESTORS_MAX = 16;

/** @throws {HostError} when CAP_NET_ADMIN is not among the effective capabilities. */
export function requireNetAdmin(): void {
  const status = readTextFile("/proc/self/status") ?? "";
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective !== undefined && (BigInt(`0x${effective}`) >> CAP_NET_ADMIN & 1n) === 1n) return;
  throw new HostError(
    "pk has no CAP_NET_ADMIN, the right to change packet filters",
    "Start it as root (sudo pk …), or use the systemd unit pk.service",
  );
}

/**
 * The lock of pk in this network namespace, or the pid of the pk that has it.
 *
 * @throws {HostError} when the lock file cannot be made.
 */
export function lockNamespace(): FileLock | { readonly holder: number } {
  // "net:[4026531840]": the number of the namespace
  const namespace = /\d+/.exec(readLink("/proc/self/ns/net"))?.[0] ?? "0";
  try {
    makeFolder(RUN_FOLDER, 0o700);
    return lockFile(`${RUN_FOLDER}/net-${namespace}.lock`);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new HostError(
      error.message,
      `pk keeps its lock in ${RUN_FOLDER}: make that folder writable for it`,
    );
  }
}

/** Where netfilter hands packets to user space, by the name of its file under /proc. */
export type Subsystem = "nfnetlink_queue" | "nfnetlink_log";

/**
 * Netlink port of the socket that listens at a number, 0 where none does; undefined where the kernel
 * does not tell.
 */
export function listenerPort(subsystem: Subsystem, number: number): number | undefined {
  // One line a listener; its columns begin with the number and the port.
  const text = readTextFile(`/proc/self/net/netfilter/${subsystem}`);
  if (text === undefined) return undefined;
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return lines.find(([first]) => first === number)?.[1] ?? 0;
}

/** "process 4711 (name)" for who listens at a number; undefined where nobody does. */
export function holderOf(subsystem: Subsystem, number: number): string | undefined {
  const port = listenerPort(subsystem, number) ?? 0;
  if (port === 0) return undefined;
  // The port of a process's first netlink socket is its pid; of further ones it is not.
  const name = readTextFile(`/proc/${port}/comm`)?.trim().replace(/[^\x21-\x7e]+/g, "?");
  return name === undefined ? "another process" : `process ${port} (${name})`;
}

/** Whether this namespace's listeners answer every SYN with a cookie (ip-sysctl: tcp_syncookies). */
export function alwaysSendsCookies(): boolean {
  return readTextFile("/proc/sys/net/ipv4/tcp_syncookies")?.trim() === "2";
}

/**
 * The server's port of the ssh session in which pk was started, or undefined. `sudo` takes
 * SSH_CONNECTION out of the environment, so the processes above this one are asked as well.
 */
export function sshSessionPort(own: string | undefined): number | undefined {
  let connection = own;
  let pid = parentPid();
  for (let count = 0; connection === undefined && pid > 1 && count < ANCESTORS_MAX; count++) {
    const environment = readTextFile(`/proc/${pid}/environ`)?.split("\0") ?? [];
    connection = environment.find((entry) => entry.startsWith("SSH_CONNECTION="))?.slice(
      "SSH_CONNECTION=".length,
    );
    pid = Number(/^PPid:\s*(\d+)$/m.exec(readTextFile(`/proc/${pid}/status`) ?? "")?.[1] ?? 0);
  }
  const port = Number(connection?.split(" ")[3]);
  return Number.isInteger(port) ? port : undefined;
}
