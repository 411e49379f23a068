// The example configuration and the files that it names.

import { keyText } from "../../../src/config/secret.ts";
import { filesOf, FOLDER } from "./config_yaml.ts";

export function exampleText(): string {
  return Deno.readTextFileSync(new URL("../../../config/pk.example.yaml", import.meta.url));
}

export const EXAMPLE_FILES = filesOf({
  [`${FOLDER}/admin.secret`]: `${keyText(new Uint8Array(20).fill(7))}\n`,
  [`${FOLDER}/once.sequences`]: "# used tcp/1234, tcp/4321\ntcp/7311, udp/8123, icmp/56\n",
  [`${FOLDER}/alice.secret`]: "correct horse battery staple\n",
  [`${FOLDER}/bob.secret`]: "a passphrase that nobody guesses",
});
