// pk page: a page that knocks from a browser, on standard output.

import {
  argument,
  command,
  type InferValue,
  message,
  object,
  option,
  optional,
  string,
} from "@optique/core";
import { denoFiles, HERE, requireRead } from "../client/files.ts";
import { clientHere } from "../client/here.ts";
import { findProfile, hostsFile } from "../client/hosts_file.ts";
import { keyText } from "../config/secret.ts";
import { readKey } from "../config/secret_file.ts";
import { writeLine } from "../daemon/log.ts";
import { isName, pageOf } from "../page/page.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";
import { path } from "./value.ts";

/** What may be typed. */
export const page = command(
  "page",
  object({
    embedSecret: option("--embed-secret", {
      description:
        message`Write the ports or the key into the page: whoever has the file can knock. Without it the page asks`,
    }),
    profiles: optional(option("--profiles", path("FILE"), {
      description: message`Profiles. Default: ~/.config/pk/hosts.yaml`,
    })),
    profile: argument(string({ metavar: "PROFILE" }), {
      description: message`A profile of hosts.yaml, by its name or by its host`,
    }),
  }),
  {
    brief: message`Make a page that knocks from a browser`,
    description:
      message`Prints one HTML file for devices without a client: pk page PROFILE > knock.html. It knocks plain sequences of TCP ports and rotating ones. Open it as a file, or put it on a web server.`,
    footer:
      message`Browsers block some ports, and cannot send UDP, pings and TCP flags: pk says so instead of making a page. pk secret --browser makes sequences that browsers can knock.`,
  },
);

export type PageArguments = InferValue<typeof page>;

/** @returns the exit code. */
export function pageCommand({ profile: wanted, profiles, embedSecret }: PageArguments): number {
  const profile = findProfile(hostsFile(clientHere(writeLine), profiles), wanted);
  const { host, knock, address } = profile;
  const key = embedSecret && knock.kind === "rotating"
    ? keyText(requireRead(readKey(denoFiles, knock.secretFile, HERE)).reveal())
    : undefined;
  print(pageOf(profile, { embedSecret, key }));
  if (embedSecret) {
    writeLine("pk: The page holds the secret: keep the file as you keep a key (chmod 600)");
  }
  if (knock.kind === "rotating" && knock.bindSource && address === undefined) {
    writeLine(
      "pk: The page asks for the device's public address, which it cannot see: the door binds it. " +
        "With bind-source: false, here and at the server, it asks for nothing",
    );
  }
  if (isName(host)) {
    writeLine(
      `pk: Browsers ask the name server about each port (_7000._https.${host}), which thus learns what ` +
        "is knocked: with the host's address in the profile they ask nobody",
    );
  }
  return EXIT.ok;
}
