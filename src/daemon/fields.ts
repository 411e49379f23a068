// Ports and sources as they stand in log lines.

import type { Endpoint } from "../config/config.ts";
import type { Grant } from "../firewall/grant.ts";
import { formatAddress } from "../packet/address.ts";
import type { Fields } from "./log.ts";

/** A port of a protocol, whoever says so. */
interface AnyPort {
  readonly protocol: Endpoint["protocol"];
  readonly port: number;
}

/** `port: 22` for one TCP port, otherwise `ports: "tcp/80-82,udp/53"`. */
export function portFields(endpoints: readonly AnyPort[]): Fields {
  const [one] = endpoints;
  if (endpoints.length === 1 && one?.protocol === "tcp") return { port: one.port };
  return { ports: portsText(endpoints) };
}

/** "tcp/80-82,udp/53" */
export function portsText(endpoints: readonly AnyPort[]): string {
  return (["tcp", "udp"] as const).flatMap((protocol) => {
    const ports = endpoints.filter((one) => one.protocol === protocol).map(({ port }) => port);
    return runs(ports).map(([first, last]) =>
      first === last ? `${protocol}/${first}` : `${protocol}/${first}-${last}`
    );
  }).join();
}

/** Ports that follow each other, as first and last. */
function runs(ports: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const port of [...new Set(ports)].sort((a, b) => a - b)) {
    const run = found.at(-1);
    if (run !== undefined && run[1] === port - 1) run[1] = port;
    else found.push([port, port]);
  }
  return found;
}

/** Grants by the text of their source. */
export function bySource(grants: readonly Grant[]): Map<string, Grant[]> {
  return Map.groupBy(grants, ({ source }) => formatAddress(source));
}
