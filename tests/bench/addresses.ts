// The addresses and ports of the bench. The forged prefixes stand for strangers: the server routes
// them back to the client's end, where nobody is and the host's answers end. The fresh prefixes are
// really the client's. All of them exist only inside the namespaces of one run.

export const FAMILIES = ["ipv4", "ipv6"] as const;
export type FamilyName = (typeof FAMILIES)[number];

/** Both ends of the veth, as tests/support/netns.ts makes it (that module needs permissions). */
export const INTERFACE = "veth0";
export const CLIENT = {
  ipv4: "10.99.0.2",
  ipv6: "fd99::2",
  mac: "02:00:00:00:99:02",
} as const;
export const SERVER = {
  ipv4: "10.99.0.1",
  ipv6: "fd99::1",
  mac: "02:00:00:00:99:01",
} as const;

/** Source `i` of a flood is 10.64.0.0 + i, or fd77:f:<i, 32 bits>::1, each in a /64 of its own. */
export const FORGED = { ipv4: "10.64.0.0/11", ipv6: "fd77:f::/32" } as const;
/** Sources that can really connect: 10.100.0.0 + i, fd77:c::<i>. */
export const FRESH = { ipv4: "10.100.0.0/16", ipv6: "fd77:c::/64" } as const;

/** The ports of pk's defaults, and one that nobody watches. */
export const KNOCK_PORTS: readonly number[] = [80, 81, 82, 83, 84, 85, 86, 87];
export const GUARDED_PORT = 10090;
export const PLAIN_PORT = 10091;
export const BULK_PORT = 10092;
/** UDP, of fwknop's single packets. */
export const SPA_PORT = 62201;

/** A FRESH source as text. */
export function freshAddress(family: FamilyName, index: number): string {
  return family === "ipv4"
    ? `10.100.${index >> 8}.${index & 255}`
    : `fd77:c::${index.toString(16)}`;
}
