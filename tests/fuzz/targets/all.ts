// Everything that reads what pk did not write itself.

import type { Target } from "../harness.ts";
import { configFile, hostsFile, knockdFile, oneTimeFile } from "./files.ts";
import { flow } from "./flow.ts";
import { hostFirewall, match } from "./host.ts";
import { secretFile, usedSteps } from "./kept_files.ts";
import { knockWay } from "./knock.ts";
import { listing } from "./listing.ts";
import { locks } from "./locks.ts";
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
  locks,
  attributes,
  messages,
  ack,
  conversation,
  table,
  set,
  elements,
  session,
  flow,
  listing,
  match,
  hostFirewall,
  flags,
  commandLine,
  configFile,
  hostsFile,
  oneTimeFile,
  secretFile,
  usedSteps,
  knockdFile,
];
