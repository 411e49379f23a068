// A service on a UDP port at every address of a namespace, of either family, which answers each datagram
// with its own bytes.

import { enter } from "./netns.ts";

const SERVICE = `
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for family in (socket.AF_INET, socket.AF_INET6):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", int(sys.argv[1])))
    chosen.register(s, selectors.EVENT_READ)
print("listens", flush=True)
while True:
    for key, _ in chosen.select():
        data, peer = key.fileobj.recvfrom(2048)
        key.fileobj.sendto(data, peer)
`;

/** Starts it; it ends when it is disposed. */
export async function startDatagramEcho(ns: string, port: number): Promise<AsyncDisposable> {
  const [program, ...entering] = enter(ns);
  const child = new Deno.Command(program, {
    args: [...entering, "python3", "-c", SERVICE, `${port}`],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  if (done) throw new Error(`No service on UDP port ${port}: python3 ended`);
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await reader.cancel();
      await child.status;
    },
  };
}
