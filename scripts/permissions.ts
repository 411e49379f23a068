// What the compiled pk may do and take, and the only place that says it: `deno compile` bakes these into
// dist/pk.
// There is no --allow-run, so pk cannot start a process. Network and files are for the client and the
// tools: the server gives them back before it opens a socket (dropPermissions), and uses libc in ffi/.

/** Environment variables that pk reads. */
const environment = [
  // systemd's: where to say that pk is ready, its folders for state and for secrets.
  "NOTIFY_SOCKET",
  "STATE_DIRECTORY",
  "CREDENTIALS_DIRECTORY",
  // The ssh session that pk may lock out.
  "SSH_CONNECTION",
  // Where the client's files are.
  "HOME",
  "XDG_CONFIG_HOME",
  "XDG_STATE_HOME",
  "APPDATA",
  "LOCALAPPDATA",
  "USERPROFILE",
];

export const compileFlags: readonly string[] = [
  // A compiled program that lacks a permission asks the terminal for it, unless told not to.
  "--no-prompt",
  // Names no library: a list holds paths, and the linker's names (`libc.so.6`) are none.
  "--allow-ffi",
  `--allow-env=${environment.join(",")}`,
  "--allow-net",
  "--allow-read",
  "--allow-write",
  // Deno lets every program import code from its own hosts; pk has all of its code in it.
  "--deny-import",
  // The code cache is a file of a guessable name in /tmp: whoever creates it first could run code as root.
  "--no-code-cache",
  // Megabytes for young objects. V8 lets them take 48 in a flood, all garbage: memory that a server lacks.
  // The daemon collects old ones itself (collectGarbage).
  "--v8-flags=--max-semi-space-size=2,--expose-gc",
];
