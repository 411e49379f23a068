// The network of the bench: the namespaces of the tests, made fit for floods and many sources.
//
//      client namespace                                 server namespace
//   veth0  10.99.0.2  fd99::2   ──────────────────   veth0  10.99.0.1  fd99::1
//   generator, connecting client                     host, pk or the kernel's own knock
//   FRESH prefixes local, FORGED ones a black hole   both routed to the client
//
// Neighbours are static and rp_filter is off: nothing but what is offered crosses the veth.

import { createLab, type Lab, must } from "../support/netns.ts";
import { CLIENT, FORGED, FRESH, INTERFACE, SERVER } from "./addresses.ts";

export async function createNetwork(): Promise<Lab> {
  await using undo = new AsyncDisposableStack();
  const lab = undo.use(await createLab({ sources: 0 }));
  await configure(lab.client, CLIENT, SERVER, [
    ...[FRESH.ipv4, FRESH.ipv6].map((net) => `route add local ${net} dev lo`),
    ...[FORGED.ipv4, FORGED.ipv6].map((net) => `route add blackhole ${net}`),
  ]);
  await configure(lab.server, SERVER, CLIENT, [
    ...[FORGED.ipv4, FRESH.ipv4].map((net) => `route add ${net} via ${CLIENT.ipv4}`),
    ...[FORGED.ipv6, FRESH.ipv6].map((net) => `route add ${net} via ${CLIENT.ipv6}`),
  ]);
  const keep = undo.move();
  return { ...lab, [Symbol.asyncDispose]: () => keep.disposeAsync() };
}

/** The words before a command that run it in a namespace, on one processor when given. */
export function enter(ns: string, cpu?: number): readonly string[] {
  const pin = cpu === undefined ? [] : ["taskset", "--cpu-list", String(cpu)];
  return ["ip", "netns", "exec", ns, ...pin];
}

type End = typeof CLIENT | typeof SERVER;

async function configure(ns: string, own: End, peer: End, routes: readonly string[]) {
  const settings = [
    ...["all", INTERFACE].map((name) => `net.ipv4.conf.${name}.rp_filter=0`),
    "net.ipv6.ip_nonlocal_bind=1", // IPv6 wants it where an address is local only by its route
  ];
  await must(...enter(ns), "sysctl", "-q", "-w", ...settings);
  const lines = [
    `link set ${INTERFACE} address ${own.mac}`,
    ...[peer.ipv4, peer.ipv6].map((address) =>
      `neighbour replace ${address} lladdr ${peer.mac} dev ${INTERFACE} nud permanent`
    ),
    ...routes,
  ];
  for (const line of lines) await must("ip", "-n", ns, ...line.split(" "));
}
