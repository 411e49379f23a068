// Why a port did not open, in words, and where to look next.

import { timeText } from "../config/time.ts";
import type { Failure } from "./connection.ts";
import type { Destination } from "./knock_sockets.ts";
import type { Profile } from "./profile.ts";

/** A reason, which ends a sentence, and a hint, which is one. */
export function failureOf(
  failure: Failure,
  profile: Profile,
  to: Destination,
  timeoutMs: number,
): { readonly reason: string; readonly hint: string } {
  switch (failure) {
    case "silent":
      return { reason: `no answer within ${timeText(timeoutMs)}`, hint: whereToLook(profile) };
    case "refused":
      return {
        reason: "it answers with a reset",
        hint: `Does the service run there? If it does: ${lowerFirst(whereToLook(profile))}`,
      };
    case "unreachable":
      return {
        reason: "it cannot be reached",
        hint: `Look at the way to ${to.text} (ip route get ${to.text})`,
      };
  }
}

function whereToLook(profile: Profile): string {
  const { knock } = profile;
  switch (knock.kind) {
    case "plain":
      return "Look at the sequence, at its order (more time between knocks: -d 100), and whether " +
        "a firewall on the way drops knocks; the server's log says how far they got";
    case "one-time":
      return "Does the server's file have the same sequence, not crossed out? Was a knock lost, " +
        "the next sequence will do; the server's log says more";
    case "rotating":
      return "Look at the clocks (timedatectl), the secret and the door's name on both sides" +
        `${knock.bindSource ? `, and at NAT: ${NAT}` : ""}. ${doorsName(profile)}`;
    case "encrypted":
      return "Look at the clocks (timedatectl), the passphrase, the user's id and the door's name " +
        `on both sides, and at NAT: ${NAT}. A user gets in once in 30 s: did another profile or ` +
        `device of the same user? ${doorsName(profile)}`;
  }
}

function doorsName({ name, door }: Profile): string {
  const whose = name === door ? "the profile's own" : "the profile's key door";
  return `The sequence is made of the door's name, which is "${door}" here (${whose}): ` +
    `where the server calls it otherwise, write "door: NAME" into the profile`;
}

const NAT = "the profile's address is the one that the server sees";

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
