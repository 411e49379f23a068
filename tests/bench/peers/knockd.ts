// knockd, with pk's sequence. Its command adds the source to a set of nf_tables: one process, where
// the manual's iptables would be slower. It writes no log.

import { sleep } from "../../support/netns.ts";
import { GUARDED_PORT, INTERFACE, KNOCK_PORTS } from "../addresses.ts";
import { type BenchLab, loadRuleset } from "../lab.ts";
import { endDaemon, type Peer, startDaemon, versionOf } from "./peer.ts";

const GATE = `
table inet gate {
  set open { type ipv4_addr; flags timeout; timeout 20s; }
  chain guard {
    type filter hook prerouting priority -150;
    tcp dport != ${GUARDED_PORT} accept
    tcp flags & (fin|syn|rst|ack) == syn ip saddr @open accept
    tcp flags & (fin|syn|rst|ack) != syn ct state established accept
    drop
  }
}`;

const CONFIGURATION = `
[options]
  Interface = ${INTERFACE}
[door]
  sequence = ${KNOCK_PORTS.join()}
  seq_timeout = 10
  tcpflags = syn,!ack
  command = /usr/sbin/nft add element inet gate open { %IP% }
`;

const START_MS = 500;

/** Undefined where it is not installed. */
export async function startKnockd(lab: BenchLab): Promise<Peer | undefined> {
  const version = await versionOf("knockd");
  if (version === undefined) return undefined;
  await loadRuleset(lab.network.server, GATE);
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/knockd.conf`, CONFIGURATION);
  const daemon = startDaemon(
    lab,
    "knockd",
    "-c",
    `${folder}/knockd.conf`,
    "-p",
    `${folder}/knockd.pid`,
  );
  await sleep(START_MS);
  return {
    name: `knockd ${version}`,
    pid: daemon.pid,
    async [Symbol.asyncDispose]() {
      await endDaemon(daemon);
      await Deno.remove(folder, { recursive: true });
    },
  };
}
