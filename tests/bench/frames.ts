// A ring of prebuilt Ethernet frames, each a SYN as Linux sends it (RFC 9293; options MSS,
// SACK permitted, timestamps, window scale). What differs between two SYNs is patched in place:
// source, ports, sequence number and the checksums over them. It never allocates per packet.

import { CLIENT, type FamilyName, SERVER } from "./addresses.ts";

/** Bytes from one frame of the ring to the next: two cache lines. */
export const SLOT = 128;

//        ethernet  IPv4/IPv6 header      TCP header (20) and options (20)
const ETHERNET = 14;
const TCP = 40;
const OPTIONS = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7] as const;

export interface Ring {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of each frame. */
  readonly frameLength: number;
  /** Makes slot `slot` the SYN number `sequence` of source `source` (0 …) to `port`. */
  readonly patch: (slot: number, source: number, port: number, sequence: number) => void;
}

/** A ring of `slots` frames from forged sources to the server. */
export function ring(family: FamilyName, slots: number): Ring {
  return family === "ipv4" ? ring4(slots) : ring6(slots);
}

function ring4(slots: number): Ring {
  const ip = ETHERNET, tcp = ip + 20, frameLength = tcp + TCP;
  const template = new Uint8Array(SLOT);
  const t = new DataView(template.buffer);
  ethernet(template, 0x0800);
  t.setUint8(ip, 0x45);
  t.setUint16(ip + 2, 20 + TCP);
  t.setUint16(ip + 6, 0x4000); // don't fragment
  t.setUint8(ip + 8, 64);
  t.setUint8(ip + 9, 6);
  t.setUint32(ip + 12, 10 << 24 | 64 << 16); // 10.64.0.0
  template.set(SERVER.ipv4.split(".").map(Number), ip + 16);
  segment(t, tcp);
  const sourceBase = t.getUint32(ip + 12);
  t.setUint32(ip + 12, 0); // left out of the constant part, like everything that is patched
  const ipSum = sum(t, ip, 20);
  const tcpSum = sum(t, tcp, TCP) + sum(t, ip + 12, 8) + 6 + TCP;

  const { bytes, view } = copies(template, slots);
  return {
    bytes,
    frameLength,
    patch(slot, source, port, sequence) {
      const at = slot * SLOT;
      const address = (sourceBase + source) >>> 0;
      const addressSum = (address >>> 16) + (address & 0xffff);
      const sourcePort = sourcePortOf(sequence);
      view.setUint32(at + ip + 12, address);
      view.setUint16(at + ip + 10, checksum(ipSum + addressSum));
      view.setUint16(at + tcp, sourcePort);
      view.setUint16(at + tcp + 2, port);
      view.setUint32(at + tcp + 4, sequence);
      const rest = sourcePort + port + (sequence >>> 16) + (sequence & 0xffff);
      view.setUint16(at + tcp + 16, checksum(tcpSum + addressSum + rest));
    },
  };
}

function ring6(slots: number): Ring {
  const ip = ETHERNET, tcp = ip + 40, frameLength = tcp + TCP;
  const template = new Uint8Array(SLOT);
  const t = new DataView(template.buffer);
  ethernet(template, 0x86dd);
  t.setUint8(ip, 0x60);
  t.setUint16(ip + 4, TCP);
  t.setUint8(ip + 6, 6);
  t.setUint8(ip + 7, 64);
  t.setUint32(ip + 8, 0xfd77000f); // fd77:f:<source>:<source>::1
  t.setUint16(ip + 22, 1);
  t.setUint16(ip + 24, 0xfd99); // fd99::1
  t.setUint16(ip + 38, 1);
  segment(t, tcp);
  const tcpSum = sum(t, tcp, TCP) + sum(t, ip + 8, 32) + 6 + TCP;

  const { bytes, view } = copies(template, slots);
  return {
    bytes,
    frameLength,
    patch(slot, source, port, sequence) {
      const at = slot * SLOT;
      const sourcePort = sourcePortOf(sequence);
      view.setUint32(at + ip + 12, source);
      view.setUint16(at + tcp, sourcePort);
      view.setUint16(at + tcp + 2, port);
      view.setUint32(at + tcp + 4, sequence);
      const rest = (source >>> 16) + (source & 0xffff) + sourcePort + port +
        (sequence >>> 16) + (sequence & 0xffff);
      view.setUint16(at + tcp + 16, checksum(tcpSum + rest));
    },
  };
}

/** An ephemeral port that changes from SYN to SYN, so that no knock looks like a repeated one. */
function sourcePortOf(sequence: number): number {
  return 32768 + sequence % 28232;
}

function ethernet(frame: Uint8Array, type: number): void {
  frame.set(mac(SERVER.mac), 0);
  frame.set(mac(CLIENT.mac), 6);
  frame.set([type >> 8, type & 0xff], 12);
}

function mac(text: string): number[] {
  return text.split(":").map((byte) => parseInt(byte, 16));
}

function segment(view: DataView, tcp: number): void {
  view.setUint8(tcp + 12, TCP / 4 << 4);
  view.setUint8(tcp + 13, 0x02); // SYN
  view.setUint16(tcp + 14, 64240);
  OPTIONS.forEach((byte, index) => view.setUint8(tcp + 20 + index, byte));
}

function copies(template: Uint8Array, slots: number) {
  const bytes = new Uint8Array(slots * SLOT);
  for (let slot = 0; slot < slots; slot++) bytes.set(template, slot * SLOT);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Sum of 16-bit words, not yet folded (RFC 1071). */
function sum(view: DataView, offset: number, length: number): number {
  let total = 0;
  for (let i = 0; i < length; i += 2) total += view.getUint16(offset + i);
  return total;
}

function checksum(total: number): number {
  const once = (total & 0xffff) + (total >>> 16);
  return ~((once & 0xffff) + (once >>> 16)) & 0xffff;
}
