// What may stand in hosts.yaml, and the profiles that it means. Knocks are written as in the server's
// configuration; of an encrypted door there is the one user who knocks here.

import * as v from "valibot";
import type { EncryptedKnock, PortRange } from "../config/config.ts";
import { KNOCK_DEFAULTS } from "../config/defaults.ts";
import { parseEndpoint, parseRange } from "../config/ports.ts";
import { folderOf, pathFrom } from "../config/secret_file.ts";
import { LAYOUT_PORTS, name, oneTime, plain, rotating, secretFile } from "../config/yaml/schema.ts";
import { parseAddress } from "../packet/address.ts";
import type { Source } from "../packet/header.ts";
import type { Parsed } from "../config/parsed.ts";
import { parseYaml } from "../yaml/document.ts";
import { choice, count, map, mapOf, text } from "../yaml/shape.ts";
import type { Profile, ProfileKnock } from "./profile.ts";

/** Profiles of one file: more than a person keeps. */
const PROFILES_MAX = 4_096;

const encrypted = v.pipe(
  map("An encrypted knock", {
    user: count(0, 255),
    "secret-file": secretFile,
    layout: v.optional(choice("window", "indexed"), KNOCK_DEFAULTS.encrypted.layout),
    ports: v.optional(text(parseRange, "ports such as tcp/22000-22255", {
      description: "256 ports, or 4096 with the layout indexed; as at the server.",
    })),
  }),
  v.check(
    ({ layout, ports }) => ports === undefined || sizeOf(ports) === LAYOUT_PORTS[layout],
    `the layout window has ${LAYOUT_PORTS.window} ports, indexed ${LAYOUT_PORTS.indexed}`,
  ),
);

const ONE_KIND = "a profile has one kind of knock: a list, rotating, one-time or encrypted";

const kinds = v.pipe(
  map("A kind of knock", {
    rotating: v.optional(rotating),
    "one-time": v.optional(oneTime),
    encrypted: v.optional(encrypted),
  }),
  v.minEntries(1, ONE_KIND),
  v.maxEntries(1, ONE_KIND),
);

const host = map("A profile", {
  host: v.pipe(v.string("a name or an address"), v.nonEmpty("a host has a name or an address")),
  opens: v.optional(text(parseEndpoint, "a port such as tcp/22", {
    description: "What pk connect joins, and what pk knock --wait tries.",
  })),
  door: v.optional(name),
  address: v.optional(text(parseOwnAddress, "an address such as 203.0.113.5", {
    description: "The own address as the server sees it, where a router translates it (NAT).",
  })),
  knock: v.union([plain, kinds], "a list of knocks, or a map with rotating, one-time or encrypted"),
});

const hosts = map("The file of profiles", {
  hosts: v.pipe(
    mapOf(name, host, "a map from names of profiles to what they are"),
    v.maxEntries(PROFILES_MAX, `there are ${PROFILES_MAX} profiles at most`),
  ),
});

/**
 * The profiles of a file, by name.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { profilesOf } from "./hosts_schema.ts";
 * const text = "hosts: { server: { host: server.example.net, knock: [tcp/7000, udp/8123] } }";
 * assert.equal(profilesOf(text, "hosts.yaml").get("server")?.door, "server");
 * ```
 *
 * @param path of the file: files that it names are relative to its folder.
 * @throws {ConfigError} with everything that is wrong in it.
 */
export function profilesOf(
  content: string | Uint8Array,
  path: string,
): ReadonlyMap<string, Profile> {
  const folder = folderOf(path);
  const file = parseYaml(content, path, hosts);
  return new Map(
    Object.entries(file.hosts).map(([key, value]) => {
      const { host, opens, address, knock, door = key } = value;
      return [key, { name: key, host, door, opens, address, knock: knockOf(knock, folder) }];
    }),
  );
}

function knockOf(
  knock: v.InferOutput<typeof host>["knock"],
  folder: string,
): ProfileKnock {
  if (Array.isArray(knock)) return { kind: "plain", steps: knock };
  const { rotating, "one-time": oneTime, encrypted } = knock as v.InferOutput<typeof kinds>;
  if (rotating !== undefined) {
    const { ports, knocks, step: stepMs, "bind-source": bindSource } = rotating;
    const secretFile = pathFrom(folder, rotating["secret-file"]);
    return { kind: "rotating", secretFile, ports, knocks, stepMs, bindSource };
  }
  if (oneTime !== undefined) return { kind: "one-time", file: pathFrom(folder, oneTime.file) };
  if (encrypted !== undefined) {
    const { user: userId, layout, ports = defaultPorts(layout) } = encrypted;
    const secretFile = pathFrom(folder, encrypted["secret-file"]);
    return { kind: "encrypted", userId, secretFile, layout, ports };
  }
  throw new Error("A knock of no kind passed the schema");
}

function defaultPorts(layout: EncryptedKnock["layout"]): PortRange {
  return KNOCK_DEFAULTS.encrypted.ports[layout];
}

function sizeOf({ first, last }: PortRange): number {
  return last - first + 1;
}

function parseOwnAddress(text: string): Parsed<Source> {
  const value = parseAddress(text);
  return value === undefined ? { reason: "an address is of IPv4 or IPv6, no name" } : { value };
}
