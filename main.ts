// pk: hides TCP ports and opens them to who knocks. The only place that ends the process.

import config from "./deno.json" with { type: "json" };
import { main } from "./src/cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args, config.version));
