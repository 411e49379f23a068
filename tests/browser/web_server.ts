// A web server in a namespace, for pages that do not come from a file.

import { enter, inside, must, sleep } from "../support/netns.ts";

const PROGRAM = `
import functools, http.server, socket, ssl, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = Server(("::", int(sys.argv[2])), handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
`;

/**
 * Serves a folder until the scope ends.
 *
 * @param certificate file of a key and its certificate, for HTTPS.
 */
export async function serveFolder(
  ns: string,
  folder: string,
  port: number,
  certificate?: string,
): Promise<AsyncDisposable> {
  const [program, ...entering] = enter(ns);
  const child = new Deno.Command(program, {
    args: [
      ...[...entering, "python3", "-c", PROGRAM, folder, `${port}`],
      ...(certificate === undefined ? [] : [certificate]),
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const server: AsyncDisposable = {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
  for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 100) {
    const { stdout } = await inside(ns, "ss", "-Hltn", `sport = :${port}`);
    if (stdout.includes(`:${port}`)) return server;
    await sleep(100);
  }
  await server[Symbol.asyncDispose]();
  throw new Error("The web server did not start within 10 s");
}

/** Makes a key and a certificate that nobody has signed, in one file. */
export async function makeCertificate(file: string): Promise<void> {
  const subject = ["-x509", "-nodes", "-subj", "/CN=10.99.0.1", "-days", "1"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  await must("openssl", "req", ...subject, ...key, "-keyout", `${file}.key`, "-out", file);
  await Deno.writeTextFile(file, await Deno.readTextFile(`${file}.key`), { append: true });
}
