// Rotating sequences as the page derives them: PROTOCOL.md, "Rotating sequences". Becomes part of the
// page's script as source text: each function uses nothing but its arguments, what a browser has, and
// the functions of sha256.ts. The daemon has its own, of which the same vectors are true.

import { hmacSha256 } from "./sha256.ts";

/** Which sequence of which door. */
export interface Derivation {
  readonly key: Uint8Array;
  readonly door: string;
  readonly first: number;
  readonly last: number;
  readonly knocks: number;
  readonly timeStep: number;
  /** 4 or 16 bytes; none where the door does not bind the source. */
  readonly address: Uint8Array;
}

/** The ports of the sequence, in order. */
export function derivePorts(
  { key, door, first, last, knocks, timeStep, address }: Derivation,
): number[] {
  const text = new TextEncoder();
  const name = text.encode(door);
  const step = new DataView(new ArrayBuffer(8));
  step.setUint32(0, Math.floor(timeStep / 2 ** 32));
  step.setUint32(4, timeStep);
  const head = [...text.encode("pk-rotating-1"), name.length, ...name];
  const family = address.length === 0 ? 0 : address.length === 4 ? 4 : 6;
  const left = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return Array.from({ length: knocks }, (_, index) => {
    const tail = [...new Uint8Array(step.buffer), index, family, ...address];
    const digest = hmacSha256(key, Uint8Array.from([...head, ...tail]));
    const offset = (digest[31] as number) & 0x0f;
    const value = new DataView(digest.buffer).getUint32(offset) & 0x7fff_ffff;
    return left.splice(value % left.length, 1)[0] as number;
  });
}

/**
 * The next time step that this page did not knock yet, and how long to wait for it: each opens once,
 * and the server accepts one step ahead of its clock, which may be a second behind.
 */
export function nextStep(
  last: number | undefined,
  unixMs: number,
  stepMs: number,
): { timeStep: number; waitMs: number } {
  const current = Math.floor(unixMs / stepMs);
  // One that is further ahead was knocked while the clock was wrong.
  const spent = last !== undefined && last >= current && last <= current + 1;
  if (!spent) return { timeStep: current, waitMs: 0 };
  return { timeStep: last + 1, waitMs: Math.max(0, last * stepMs + 1000 - unixMs) };
}

/** A key as `pk secret` writes it; undefined for anything else. */
export function keyBytes(text: string): Uint8Array | undefined {
  const letters = text.toLowerCase().replace(/[\s-]+/g, "");
  if (!/^[a-z2-7]{32}$/.test(letters)) return undefined;
  const bits = Array.from(letters, (letter) => {
    const value = "abcdefghijklmnopqrstuvwxyz234567".indexOf(letter);
    return value.toString(2).padStart(5, "0");
  }).join("");
  return Uint8Array.from({ length: 20 }, (_, at) => parseInt(bits.slice(at * 8, at * 8 + 8), 2));
}

/** An address in network order; IPv4-mapped addresses are IPv4. Undefined for anything else. */
export function addressBytes(text: string): Uint8Array | undefined {
  const quad = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text.trim())?.slice(1);
  if (quad) {
    return quad.every((part) => Number(part) < 256) ? Uint8Array.from(quad, Number) : undefined;
  }
  const url = `http://[${text.trim()}]/`;
  if (!URL.canParse(url)) return undefined;
  // The browser writes it as RFC 5952 says, without dotted quads.
  const [head = "", tail] = new URL(url).hostname.slice(1, -1).split("::").map((side) =>
    side.split(":").filter(Boolean)
  );
  const zeros = new Array(8 - head.length - (tail ?? []).length).fill("0");
  const bytes = [...head, ...zeros, ...(tail ?? [])].flatMap((group) => {
    const value = parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
  const mapped = bytes.slice(0, 12).join() === "0,0,0,0,0,0,0,0,0,0,255,255";
  return Uint8Array.from(mapped ? bytes.slice(12) : bytes);
}

/** Ports as they are typed: "7000, 8123 tcp/9321"; or what is wrong with them. */
export function typedPorts(text: string, blocked: readonly number[]): number[] | string {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const ports = words.map((word) => /^(?:tcp\/)?(\d{1,5})$/i.exec(word)?.[1] ?? "0").map(Number);
  const wrong = ports.findIndex((port) => port < 1 || port > 65535);
  if (wrong >= 0) return `Port ${wrong + 1} is none: a port is a number from 1 to 65535.`;
  if (ports.length < 2 || ports.length > 32) return "Type all ports, 2 to 32, in their order.";
  const refused = ports.findIndex((port) => blocked.includes(port));
  if (refused >= 0) return `Port ${refused + 1} is one that browsers block.`;
  const twice = ports.findIndex((port, index) => port === ports[index + 1]);
  if (twice >= 0) return `Ports ${twice + 1} and ${twice + 2} are the same: a page cannot do that.`;
  return ports;
}
