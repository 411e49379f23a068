// sd_notify(3): tells systemd that the daemon is up. Without NOTIFY_SOCKET nothing is told.

import { sendUnixDatagram } from "../../ffi/unix_datagram.ts";

/** Sends a state such as "READY=1" to the service manager, if there is one. */
export function notifyServiceManager(state: string): void {
  const address = Deno.env.get("NOTIFY_SOCKET");
  if (address !== undefined && /^[/@]/.test(address)) sendUnixDatagram(address, state);
}
