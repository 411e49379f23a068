// The way in which systems other than Linux knock, to be looked at on Linux: an address and steps.

import { sendKnocks } from "../../src/client/knocker.ts";
import { portableSockets } from "../../src/client/portable_sockets.ts";
import { resolve } from "../../src/client/resolve.ts";
import { parseKnocks } from "../../src/client/typed_knocks.ts";

const [host = "", ...texts] = Deno.args;
const parsed = parseKnocks(texts);
if ("reason" in parsed) throw new Error(parsed.reason);
const to = await resolve(portableSockets, host, undefined);
await sendKnocks(portableSockets, to, parsed.value, 5);
Deno.exit();
