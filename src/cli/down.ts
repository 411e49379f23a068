// pk down: stops a running pk, then removes what it has put into the kernel.

import { command, message, object } from "@optique/core";
import { libmnl } from "../../ffi/libmnl.ts";
import { terminate } from "../../ffi/process.ts";
import { openNftablesSocket } from "../daemon/sockets.ts";
import { writeLine } from "../daemon/log.ts";
import { lockNamespace, requireNetAdmin } from "../daemon/host.ts";
import { HostError } from "../errors.ts";
import { remove } from "../firewall/firewall.ts";
import { openConversation } from "../netlink/conversation.ts";
import { EXIT } from "./exit.ts";

export const down = command("down", object({}), {
  brief: message`Stop pk and remove everything it has put into the kernel`,
  description:
    message`Stops the pk that runs in this network namespace, if one does, and removes the table inet pk with all rules and grants. The host is as it was before pk.`,
});

const STOP_TIMEOUT_MS = 10_000;
const STOP_CHECK_MS = 20;

/** @returns the exit code. */
export async function downCommand(): Promise<number> {
  libmnl();
  requireNetAdmin();
  // A second pk down asks whoever has the lock to stop, and that may be this one: it has to wait.
  Deno.addSignalListener("SIGTERM", () => {});
  using _lock = await stopDaemon();
  using socket = openNftablesSocket();
  const removed = remove(openConversation(socket));
  writeLine(removed ? "pk: removed the table inet pk" : "pk: nothing to remove");
  return EXIT.ok;
}

/** The lock, so that no other pk starts meanwhile. */
async function stopDaemon(): Promise<Disposable> {
  const untilMs = performance.now() + STOP_TIMEOUT_MS;
  let asked: number | undefined;
  while (true) {
    const lock = lockNamespace();
    if (!("holder" in lock)) return lock;
    // kill(2) takes 0 for this process's group and -1 for everybody: F_GETLK says so of a holder in
    // another pid namespace, or of a lock that belongs to no process.
    if (lock.holder <= 0) {
      throw new HostError(
        "pk runs in another container (pid namespace), from where it cannot be stopped",
        "Stop it there, then call pk down again; guarded ports stay shut",
      );
    }
    if (asked !== lock.holder) {
      writeLine(`pk: stopping process ${lock.holder}`);
      terminate(lock.holder);
      asked = lock.holder;
    }
    if (performance.now() > untilMs) {
      throw new HostError(
        `Process ${lock.holder} does not stop`,
        `End it (kill -9 ${lock.holder}), then call pk down again; guarded ports stay shut`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, STOP_CHECK_MS));
  }
}
