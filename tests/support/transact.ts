// What pk's own code does in the network namespace it is started in, for tests that start it there
// with `ip netns exec`. One word says what; the result is one line of JSON.
//
//     transact.ts object NAME     our transaction for one of nft_objects.ts
//     transact.ts read            table, sets and their elements of the table inet t, as we read them
//     transact.ts install [FLAG…] the whole ruleset, with flags as pk has them

import { openNftablesSocket } from "../../src/daemon/daemon.ts";
import { parseFlags } from "../../src/config/flags.ts";
import { hex } from "../../src/bytes/hex.ts";
import { formsOf, install } from "../../src/firewall/firewall.ts";
import { type Conversation, openConversation } from "../../src/netlink/conversation.ts";
import { messageAttributes } from "../../src/netlink/nfnetlink.ts";
import { listCounters, parseCounter } from "../../src/nftables/counter_object.ts";
import { listElements, parseElements } from "../../src/nftables/element.ts";
import { listSets, parseSetLayout } from "../../src/nftables/set.ts";
import { getTable, parseTable } from "../../src/nftables/table.ts";
import { objects } from "./nft_objects.ts";

const TABLE = "t";

if (import.meta.main) {
  using socket = openNftablesSocket();
  console.log(JSON.stringify(carryOut(openConversation(socket), Deno.args)));
}

function carryOut(kernel: Conversation, [what, ...args]: readonly string[]): unknown {
  switch (what) {
    case "object":
      kernel.transact(objects.find(({ name }) => name === args[0])?.ours ?? []);
      return "done";
    case "read":
      return read(kernel);
    case "install": {
      const [portSeq, portDest, owner] = args;
      const { config } = parseFlags({ portSeq, portDest, tableOwner: owner === "owner" });
      return install(kernel, config, formsOf(config.tableOwner), []);
    }
    default:
      throw new Error(`transact.ts cannot ${what}`);
  }
}

function read(kernel: Conversation): unknown {
  const [table] = kernel.ask(getTable(TABLE)).map(messageAttributes).map(parseTable);
  const sets = kernel.ask(listSets(TABLE)).map(messageAttributes).map(parseSetLayout);
  return {
    table,
    sets,
    counters: kernel.ask(listCounters(TABLE)).map(messageAttributes).map(parseCounter),
    elements: sets.map(({ name }) =>
      kernel.ask(listElements(TABLE, name)).map(messageAttributes).flatMap(parseElements)
        .map(({ key, timeoutMs }) => ({ key: hex(key), timeoutMs }))
    ),
  };
}
