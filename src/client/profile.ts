// A profile: a host, what opens its door, and what is then joined. Profiles come from hosts.yaml
// (hosts_file.ts); a host and ports on the command line make one without a name.

import type { EncryptedKnock, Endpoint, PortRange, RotatingKnock, Step } from "../config/config.ts";
import type { Source } from "../packet/header.ts";

export interface Profile {
  /** What memory is kept under; undefined for what was typed. */
  readonly name: string | undefined;
  /** A name or an address. */
  readonly host: string;
  /** The server's name of the door, of which derived sequences are made. */
  readonly door: string;
  /** What `pk connect` joins and `--wait` tries. */
  readonly opens: Endpoint | undefined;
  readonly knock: ProfileKnock;
  /** The own address as the server sees it, where that is another than here. */
  readonly address: Readonly<Source> | undefined;
}

export type ProfileKnock =
  | { readonly kind: "plain"; readonly steps: readonly Step[] }
  | OneTimeProfile
  | RotatingProfile
  | EncryptedProfile;

/** Sequences in a file, each of use once. */
export interface OneTimeProfile {
  readonly kind: "one-time";
  readonly file: string;
}

/** As at the server, with the secret still in its file. */
export interface RotatingProfile extends Omit<RotatingKnock, "secret"> {
  readonly secretFile: string;
}

/** One of the server's users, with the passphrase still in its file. */
export interface EncryptedProfile {
  readonly kind: "encrypted";
  /** The user's id, 0 to 255. */
  readonly userId: number;
  readonly secretFile: string;
  readonly layout: EncryptedKnock["layout"];
  readonly ports: PortRange;
}
