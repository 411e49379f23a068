// When a door of a new configuration is the one of before, so that what its knockers
// have done counts.

import type { Door, Knock } from "../config/config.ts";
import type { Secret } from "../config/secret.ts";

/** Do both doors ask the same of who knocks? What they open does not matter. */
export function sameKnock(one: Door, other: Door): boolean {
  return one.name === other.name && one.withinMs === other.withinMs &&
    sameText(one.from, other.from) && sameText(one.knock, other.knock) &&
    sameSecrets(one.knock, other.knock);
}

/** Secrets are written as a placeholder, and compared apart. */
function sameText(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function sameSecrets(one: Knock, other: Knock): boolean {
  const others = secretsOf(other);
  return secretsOf(one).every((secret, index) => others[index]?.equals(secret));
}

function secretsOf(knock: Knock): readonly Secret[] {
  switch (knock.kind) {
    case "rotating":
      return [knock.secret];
    case "encrypted":
      return knock.users.map(({ secret }) => secret);
    case "plain":
    case "one-time":
      return [];
  }
}
