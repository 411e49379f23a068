// One virtual machine and the client beside it, in a network namespace without a name:
//
//   namespace of QEMU                        guest
//   client: tap vm0 ───────────────────────── enp… (virtio)
//   10.77.0.1, fd77::1 (granted)             10.77.0.2, fd77::2
//   10.77.0.9, fd77::9 (another source)
//
// Namespace and disk changes end with QEMU, and QEMU ends with this process (PR_SET_PDEATHSIG),
// whatever happens to it. The image itself is never written to.

import { type Agent, connectAgent, type Outcome } from "./agent.ts";

export type Suite = "bookworm" | "trixie";

export interface Guest extends AsyncDisposable {
  /** Runs a shell line in the guest, by the guest agent; throws when it fails. */
  sh(line: string, timeoutMs?: number): Promise<string>;
  /** The same, for lines that may fail. */
  readonly run: Agent["run"];
  /** Reboots the guest, until it is up. */
  reboot(): Promise<void>;
  /** Starts a program in the client's namespace. */
  client(program: string, args: readonly string[], stdio: Stdio): Deno.ChildProcess;
  /** The options with which ssh gets in: the image's key. */
  readonly sshOptions: readonly string[];
}

type Stdio = Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr">;

const project = new URL("../../", import.meta.url).pathname;
const imagesDir = Deno.env.get("PK_VM_DIR") ?? `${project}.vm`;
const startTimeoutMs = 240_000;

/** Why no guest can be started here, or undefined. */
export function whyNot(): string | undefined {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "needs Linux on x86-64";
  if (Deno.uid() !== 0) return "needs root";
  if (!has("qemu-system-x86_64") && !has("apt-get")) return "needs qemu-system-x86_64";
  return undefined;
}

/** Makes the suite's image unless it is there, and installs QEMU if need be. */
export async function buildImage(suite: Suite): Promise<void> {
  const { success } = await new Deno.Command(`${project}tests/vm/image`, {
    args: [suite],
    env: { PK_VM_DIR: imagesDir },
  }).spawn().status;
  if (!success) throw new Error(`Cannot make the image of ${suite}: see the lines above`);
}

/**
 * Starts a guest from a fresh copy of its image and waits until it is up.
 * `files` are put into it: path in the guest → contents and mode.
 */
export async function boot(suite: Suite, files: Files): Promise<Guest> {
  const image = `${imagesDir}/${suite}`;
  const runDir = `${image}/run`; // kept afterwards, for who wants to read the console
  await using cleanup = new AsyncDisposableStack();

  await pack(files, runDir);
  const qemu = new Deno.Command("setpriv", {
    args: [
      ...["--pdeathsig", "KILL", "unshare", "--net", "sh", "-ec", clientNetwork, "sh"],
      ...qemuCommand(image, runDir),
    ],
    env: { TMPDIR: runDir },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  cleanup.defer(() => end(qemu));

  const agent = await connectAgent(qemu.stdin, qemu.stdout, startTimeoutMs).catch((cause) => {
    throw new Error(`The guest does not start: see ${runDir}/serial.log`, { cause });
  });
  cleanup.defer(agent.close);
  async function sh(line: string, timeoutMs?: number): Promise<string> {
    return succeeded(line, await agent.run(line, timeoutMs));
  }
  async function up(): Promise<void> {
    await sh("systemctl is-system-running --wait", startTimeoutMs);
  }
  await up();
  await sh("tar -xf /dev/vdb -C / && systemctl daemon-reload");

  const owned = cleanup.move();
  return {
    sh,
    run: agent.run,
    reboot: async () => {
      await agent.reboot(startTimeoutMs);
      await up();
    },
    client: (program, args, stdio) =>
      new Deno.Command("setpriv", {
        args: [
          ...["--pdeathsig", "KILL", "nsenter", `--net=/proc/${qemu.pid}/ns/net`],
          ...[program, ...args],
        ],
        ...stdio,
      }).spawn(),
    sshOptions: [
      ...["-F", "none", "-i", `${image}/id_ed25519`, "-o", "BatchMode=yes"],
      ...["-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=no"],
      ...["-o", "UserKnownHostsFile=/dev/null"],
    ],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export type Files = Readonly<Record<string, { readonly data: Uint8Array; readonly mode: number }>>;

/** Ends a process of ours by its pid, also one that has ended already. */
export async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // "Child process has already terminated"
  }
  await child.status;
}

const clientNetwork = `
  ip link set lo up
  ip tuntap add dev vm0 mode tap
  ip addr add 10.77.0.1/24 dev vm0
  ip addr add fd77::1/64 dev vm0 nodad
  ip addr add 10.77.0.9/24 dev vm0
  ip addr add fd77::9/64 dev vm0 nodad preferred_lft 0  # used only by who asks for it
  ip link set vm0 up
  exec "$@"`;

function qemuCommand(image: string, runDir: string): readonly string[] {
  // A /dev/kvm that VT-x or SVM does not back cannot run an unmodified kernel.
  const kvm = exists("/dev/kvm") &&
    (exists("/sys/module/kvm_intel") || exists("/sys/module/kvm_amd"));
  // Under emulation the kernel's own test finds that the time stamp counters disagree and falls
  // back to a clock that is far slower, although they agree.
  const clock = kvm ? "" : " tsc=reliable";
  // One processor when emulated: with two, QEMU 7.2 was seen to leave one of them for ever in code
  // of the kernel that the other had just patched (cryptomgr_test, soft lockup while booting).
  const machine = kvm
    ? ["-accel", "kvm", "-cpu", "host", "-smp", "2"]
    : ["-accel", "tcg,tb-size=512", "-cpu", "max", "-smp", "1"];
  return [
    ...["qemu-system-x86_64", "-M", "q35", "-m", "1024", ...machine],
    ...["-nodefaults", "-display", "none", "-serial", `file:${runDir}/serial.log`],
    ...["-kernel", `${image}/vmlinuz`, "-initrd", `${image}/initrd.img`],
    ...["-append", `root=/dev/vda ro console=ttyS0${clock}`],
    ...["-drive", `if=virtio,format=raw,snapshot=on,file=${image}/root.ext4`],
    ...["-drive", `if=virtio,format=raw,readonly=on,file=${runDir}/files.tar`],
    ...["-netdev", "tap,id=net0,ifname=vm0,script=no,downscript=no"],
    ...["-device", "virtio-net-pci,netdev=net0,romfile=", "-device", "virtio-rng-pci"],
    ...["-device", "virtio-serial-pci", "-chardev", "stdio,id=agent,signal=off"],
    ...["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"],
  ];
}

// The guest reads the files as a tape: a disk that holds a tar archive.
async function pack(files: Files, runDir: string): Promise<void> {
  if (exists(runDir)) await Deno.remove(runDir, { recursive: true });
  for (const [path, { data, mode }] of Object.entries(files)) {
    const copy = `${runDir}/files${path}`;
    await Deno.mkdir(copy.slice(0, copy.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(copy, data);
    await Deno.chmod(copy, mode);
  }
  const args = [
    ...["-C", `${runDir}/files`, "--owner=0", "--group=0", "-cf", `${runDir}/files.tar`],
    ...Object.keys(files).map((path) => path.slice(1)),
  ];
  const { success } = await new Deno.Command("tar", { args }).spawn().status;
  if (!success) throw new Error("Cannot pack the files for the guest: see the lines above");
}

function succeeded(line: string, { code, stdout, stderr }: Outcome): string {
  if (code !== 0) throw new Error(`Exit code ${code} in the guest: ${line}\n${stdout}${stderr}`);
  return stdout.trimEnd();
}

function has(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => exists(`${folder}/${program}`));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
