// What --dry-run prints: the ruleset as nft text, but for ports that a secret file says.

import type { Config } from "../config/config.ts";
import { rulesetOf, rulesetText } from "../firewall/ruleset.ts";

/** The text for `nft -f`. Of one-time doors only the guarded ports are in it. */
export function dryRunText(config: Config): string {
  let hidden = false;
  const doors = config.doors.map((door) => {
    if (door.knock.kind !== "one-time" || door.knock.sequences.length === 0) return door;
    hidden = true;
    return { ...door, knock: { ...door.knock, sequences: [] } };
  });
  const text = rulesetText(rulesetOf({ ...config, doors }, "queue"), config.tableOwner);
  return hidden ? `# Without the knocks of one-time sequences, which are secret\n${text}` : text;
}
