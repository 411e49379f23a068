// pk: hides TCP ports and opens them to who knocks. So far it only tells its version.

import config from "./deno.json" with { type: "json" };

if (import.meta.main) console.log(`pk ${config.version}`);
