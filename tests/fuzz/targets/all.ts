// Every decoder that reads what pk did not write itself.

import type { Target } from "../harness.ts";
import { knockWay } from "./knock.ts";
import { listing } from "./listing.ts";
import { logMessage, queueMessage } from "./messages.ts";
import { ack, attributes, conversation, messages } from "./netlink.ts";
import { elements, session, set, table } from "./objects.ts";
import { packetTarget } from "./packet.ts";
import { commandLine, flags } from "./text.ts";

export const targets: readonly Target[] = [
  packetTarget(4),
  packetTarget(6),
  queueMessage,
  logMessage,
  knockWay,
  attributes,
  messages,
  ack,
  conversation,
  table,
  set,
  elements,
  session,
  listing,
  flags,
  commandLine,
];
