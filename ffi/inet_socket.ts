// Sockets and socket addresses of IPv4 and IPv6: ip(7), ipv6(7).

import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { addressBytes } from "../src/packet/address.ts";
import type { Source } from "../src/packet/header.ts";
import { check, libc } from "./libc.ts";

const AF_INET = 2;
const AF_INET6 = 10;

// struct sockaddr_in: family u16, port u16 be, address 4 bytes, 8 zeros.
// struct sockaddr_in6: family u16, port u16 be, flowinfo u32, address 16 bytes, scope id u32.
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;
const PORT = 2;
export const ADDRESS_IN = 4;
export const ADDRESS_IN6 = 8;
const SCOPE_ID = 24;

/** Where packets go. */
export interface Destination {
  readonly address: Readonly<Source>;
  /** Index of the interface, which link-local addresses need; else 0. */
  readonly scope: number;
}

/** A socket of the destination's family; the caller closes it. */
export function openSocket({ address }: Destination, type: number, protocol: number): number {
  const domain = address.family === 4 ? AF_INET : AF_INET6;
  return check("open a socket", libc().socket(domain, type, protocol));
}

/** A struct sockaddr_in or sockaddr_in6. */
export function socketAddress(
  { address, scope }: Destination,
  port: number,
): Uint8Array<ArrayBuffer> {
  const ipv4 = address.family === 4;
  const bytes = new Uint8Array(ipv4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ipv4 ? AF_INET : AF_INET6, LITTLE_ENDIAN);
  view.setUint16(PORT, port);
  bytes.set(addressBytes(address), ipv4 ? ADDRESS_IN : ADDRESS_IN6);
  if (!ipv4) view.setUint32(SCOPE_ID, scope, LITTLE_ENDIAN);
  return bytes;
}
