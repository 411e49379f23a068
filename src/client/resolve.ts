// From a name to one address, chosen once: knocks and connection go to the same one. Names are looked
// up as every program on this host does (getaddrinfo(3): hosts file, DNS), in its order.

import { HostError, UsageError } from "../errors.ts";
import { parseAddress } from "../packet/address.ts";
import type { Destination, KnockSockets } from "./knock_sockets.ts";
import type { Profile } from "./profile.ts";

type Interfaces = Pick<KnockSockets, "interfaceIndex">;

/** The address family that is asked for; undefined takes the first address, whichever it is. */
export type Family = 4 | 6 | undefined;

/**
 * The address of a profile's host; of a name the one of the family that its knocks need. Whether an
 * address can be knocked at, `requireKnockable` says.
 *
 * @throws {UsageError | HostError}
 */
export function resolveProfile(
  sockets: Interfaces,
  { host, knock, address }: Profile,
  family: Family,
): Promise<Destination> {
  return resolve(sockets, host, family, knockFamily(knock) ?? address?.family);
}

function knockFamily(knock: Profile["knock"]): Family {
  if (knock.kind !== "plain") return undefined;
  if (knock.steps.some(({ protocol }) => protocol === "icmp")) return 4;
  return knock.steps.some(({ protocol }) => protocol === "icmp6") ? 6 : undefined;
}

/**
 * The address of a host.
 *
 * @param host a name or an address; of IPv6 also in brackets and with `%interface`.
 * @param needed the family that a name is looked up for where none is asked for.
 * @throws {UsageError} for an address of the other family.
 * @throws {HostError} for a name that nobody knows.
 */
export async function resolve(
  sockets: Interfaces,
  host: string,
  asked: Family,
  needed?: Family,
): Promise<Destination> {
  const literal = host.replace(/^\[(.*)\]$/, "$1");
  const destination = destinationOf(sockets, literal);
  if (destination === undefined) {
    return requireDestination(sockets, await lookUp(host, asked, needed));
  }
  if (asked !== undefined && asked !== destination.address.family) {
    throw new UsageError(
      `Cannot use ${host} with -${asked}: it is an address of IPv${destination.address.family}`,
      `Leave out -${asked}`,
    );
  }
  return destination;
}

async function lookUp(host: string, asked: Family, needed: Family): Promise<string> {
  const family = asked ?? needed;
  const kind = family === undefined ? "" : ` of IPv${family}`;
  const hint = "Look at its spelling and at this host's name servers (getent ahosts NAME)" +
    (asked === undefined ? "" : `, or leave out -${asked}`);
  // DNS knows no such names (RFC 1035), and a lookup of one would only take its time.
  if (!/^[a-z0-9_]([a-z0-9_.-]{0,253})$/i.test(host)) {
    throw new UsageError(
      `Cannot look up ${JSON.stringify(host)}: this is no host name`,
      "A host is a name or an address: server.example.net, 192.0.2.7, 2001:db8::7",
    );
  }
  // By dynamic import: Deno's part for Node costs memory, which a server needs not spend.
  const { default: process } = await import("node:process");
  Object.assign(process, { noDeprecation: true }); // node:dns would warn of its own punycode
  const { lookup } = await import("node:dns/promises");
  try {
    const found = await lookup(host, { all: true, family: family ?? 0, verbatim: true });
    const address = found.find(({ address }) => address !== undefined)?.address;
    if (address !== undefined) return address;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code !== "ENOTFOUND") {
      throw new HostError(`Cannot look up ${host}: ${code ?? error}`, hint);
    }
  }
  throw new HostError(`Cannot find an address${kind} of ${host}`, hint);
}

function requireDestination(
  sockets: Interfaces,
  text: string,
): Destination {
  const destination = destinationOf(sockets, text);
  if (destination !== undefined) return destination;
  throw new HostError(`Cannot use the address ${text}`, "Look at what the name server says");
}

function destinationOf(
  sockets: Interfaces,
  text: string,
): Destination | undefined {
  const [plain = "", zone, ...more] = text.split("%");
  const address = parseAddress(plain);
  if (address === undefined || more.length > 0) return undefined;
  if (zone === undefined) return { address, text, scope: 0 };
  const scope = /^\d+$/.test(zone) ? Number(zone) : sockets.interfaceIndex(zone);
  if (scope > 0) return { address, text, scope };
  throw new UsageError(`Cannot find the interface ${zone} of ${text}`, "See ip link");
}
