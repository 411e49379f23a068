// The host behind pk: accepts connections to the given ports, IPv4 and IPv6, and closes them. Where
// there are no ports it is only a process in its namespace, by whose /proc counters are read.
//
//   ip netns exec NS deno run --allow-net tests/bench/host.ts 10090 10091

import { serve } from "./background.ts";

async function accept(port: number): Promise<void> {
  for await (const connection of Deno.listen({ port, hostname: "::" })) connection.close();
}

if (import.meta.main) {
  Deno.args.forEach((port) => accept(Number(port)));
  await serve(() => ({ ports: Deno.args })); // the answer says that they are open
}
