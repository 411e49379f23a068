// What pk's own code does in the network namespace it is started in, for tests that start it there
// with `ip netns exec`. One word says what; the result is one line of JSON.
//
//     transact.ts object NAME     our transaction for one of nft_objects.ts
//     transact.ts read            table, sets and their elements of the table inet t, as we read them
//     transact.ts install NAME    the whole ruleset of one of ruleset_configs.ts; with `owner` behind it
//                                 the table is owned
//     transact.ts reload NAME…    one after the other into a table of our own, with a grant for a minute
//                                 written after the first; what it owns is listed by nobody else meanwhile

import { openNftablesSocket } from "../../src/daemon/sockets.ts";
import type { Config } from "../../src/config/config.ts";
import { hex } from "../../src/bytes/hex.ts";
import { formsOf, install, writeGrants } from "../../src/firewall/firewall.ts";
import { type Conversation, openConversation } from "../../src/netlink/conversation.ts";
import { messageAttributes } from "../../src/netlink/nfnetlink.ts";
import { listCounters, parseCounter } from "../../src/nftables/counter_object.ts";
import { listElements, parseElements } from "../../src/nftables/element.ts";
import { listSets, parseSetLayout } from "../../src/nftables/set.ts";
import { getTable, parseTable } from "../../src/nftables/table.ts";
import { objects } from "./nft_objects.ts";
import { rulesetConfigs } from "./ruleset_configs.ts";

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
      const [name, owner] = args;
      return install(kernel, configNamed(name), formsOf(owner === "owner"), []);
    }
    case "reload":
      return reload(kernel, args);
    default:
      throw new Error(`transact.ts cannot ${what}`);
  }
}

function reload(kernel: Conversation, [first, ...others]: readonly string[]): unknown {
  const { form } = install(kernel, configNamed(first), formsOf(true), []);
  const source = { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc0000201 } as const;
  writeGrants(kernel, [{ source, protocol: "udp", port: 53, timeoutMs: 60_000 }]).refused();
  const [table] = kernel.ask(getTable("pk")).map(messageAttributes).map(parseTable);
  const installed = others.map((name) => {
    let transactions = 0;
    const counting = {
      ...kernel,
      transact: (...all: Parameters<Conversation["transact"]>) => {
        transactions++;
        kernel.transact(...all);
      },
    };
    const sent = install(counting, configNamed(name), [form], [], [], table?.owner);
    return { transactions, grants: sent.grants.length };
  });
  return { form, owner: table?.owner, installed };
}

function configNamed(name = ""): Config {
  const config = rulesetConfigs[name];
  if (config === undefined) throw new Error(`No configuration "${name}"`);
  return config;
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
