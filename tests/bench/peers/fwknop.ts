// fwknopd of Debian, with a shared key and an HMAC, opening the port with iptables as it comes. It
// knows IPv4 only. Its own defaults stay: it looks for packets ten times a second.

import { must, sleep } from "../../support/netns.ts";
import { GUARDED_PORT, INTERFACE, SERVER } from "../addresses.ts";
import type { BenchLab } from "../lab.ts";
import { enter } from "../network.ts";
import { endDaemon, type Peer, runClient, startDaemon, versionOf } from "./peer.ts";

const KEY = "a key of the bench", HMAC_KEY = "another key of the bench";

const FIREWALL = [
  "-A INPUT -p tcp --dport PORT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
  "-A INPUT -p tcp --dport PORT -j DROP",
] as const;

const START_MS = 1_500;

/** Undefined where it is not installed. */
export async function startFwknop(lab: BenchLab): Promise<Peer | undefined> {
  const version = await versionOf("fwknop-server");
  if (version === undefined || await versionOf("fwknop-client") === undefined) return undefined;
  for (const line of FIREWALL) {
    const words = line.replace("PORT", String(GUARDED_PORT)).split(" ");
    await must(...enter(lab.network.server), "iptables", ...words);
  }
  const folder = await Deno.makeTempDir();
  const write = (name: string, lines: readonly string[]) =>
    Deno.writeTextFile(`${folder}/${name}`, lines.join("\n") + "\n", { mode: 0o600 });
  await write("fwknopd.conf", [`PCAP_INTF ${INTERFACE};`]);
  await write("access.conf", [
    "SOURCE ANY",
    `OPEN_PORTS tcp/${GUARDED_PORT}`,
    `KEY ${KEY}`,
    `HMAC_KEY ${HMAC_KEY}`,
    "FW_ACCESS_TIMEOUT 20",
  ]);
  const daemon = startDaemon(
    lab,
    ...["fwknopd", "--foreground"],
    ...["--config-file", `${folder}/fwknopd.conf`, "--access-file", `${folder}/access.conf`],
    ...["--run-dir", folder, "--pid-file", `${folder}/fwknopd.pid`],
    ...["--digest-file", `${folder}/digest.cache`],
  );
  await sleep(START_MS);
  return {
    name: `fwknopd ${version}`,
    pid: daemon.pid,
    async knock(source) {
      await runClient(
        lab,
        ...["fwknop", "--no-rc-file", "--no-save-args", "-A", `tcp/${GUARDED_PORT}`],
        ...["-D", SERVER.ipv4, "-a", source, "--key-rijndael", KEY, "--key-hmac", HMAC_KEY],
      );
    },
    async [Symbol.asyncDispose]() {
      await endDaemon(daemon);
      await Deno.remove(folder, { recursive: true });
    },
  };
}
