// The architecture as two tables: which folder may not import which, and which words belong where.
// Paths are relative to the project; a folder stands for everything in it. Each line has its reason,
// which is the name of its test.

export interface ImportRule {
  readonly from: readonly string[];
  readonly never: readonly string[];
  readonly except?: readonly string[];
  readonly reason: string;
}

export interface WordRule {
  readonly in: readonly string[];
  readonly never: RegExp;
  readonly reason: string;
}

/** Values in, values out: these run without any permission. */
const pure = [
  "src/bytes/",
  "src/packet/",
  "src/netlink/",
  "src/nftables/",
  "src/nfqueue/",
  "src/nflog/",
  "src/knock/",
  "src/config/",
  "src/firewall/",
  "src/errors.ts",
  "src/limits.ts",
];

const product = ["main.ts", "src/", "ffi/"];

/** What every layer may import. */
const foundations = ["src/errors.ts", "src/limits.ts"];

export const importRules: readonly ImportRule[] = [
  {
    from: pure,
    never: ["ffi/", "src/daemon/", "src/client/", "src/cli/"],
    reason:
      "pure layers run without permissions, so that they can be tested with nothing but values",
  },
  {
    from: pure,
    never: ["npm:"],
    reason:
      "pure layers depend on nobody's code but ours: packages serve the command line and the log",
  },
  {
    from: foundations,
    never: ["src/", "ffi/"],
    reason: "everybody imports errors and limits, so they import nothing",
  },
  {
    from: ["src/bytes/"],
    never: ["src/"],
    except: ["src/bytes/", ...foundations],
    reason: "bytes are the ground floor and know nothing that is made of them",
  },
  {
    from: ["src/packet/"],
    never: ["src/"],
    except: ["src/packet/", "src/bytes/", ...foundations],
    reason: "parsing a packet depends on the packet only",
  },
  {
    from: ["src/netlink/"],
    never: ["src/"],
    except: ["src/netlink/", "src/bytes/", "src/packet/", ...foundations],
    reason:
      "netlink carries nf_tables, nfnetlink_queue and nfnetlink_log alike and knows none of them",
  },
  {
    from: ["src/nftables/"],
    never: ["src/nfqueue/", "src/nflog/", "src/knock/", "src/config/", "src/firewall/"],
    reason: "nf_tables objects are the kernel's: what pk makes of them is in src/firewall",
  },
  {
    from: ["src/nfqueue/"],
    never: ["src/nftables/", "src/nflog/", "src/knock/", "src/config/", "src/firewall/"],
    reason: "the queue holds packets and does not know what is decided about them",
  },
  {
    from: ["src/nflog/"],
    never: ["src/nftables/", "src/nfqueue/", "src/knock/", "src/config/", "src/firewall/"],
    reason: "the log delivers copies and does not know what is decided about them",
  },
  {
    from: ["src/knock/"],
    never: ["src/netlink/", "src/nftables/", "src/nfqueue/", "src/nflog/", "src/firewall/"],
    reason: "deciding knows no netlink: the daemon carries out what it decides",
  },
  {
    from: ["src/config/"],
    never: ["src/netlink/", "src/nftables/", "src/nfqueue/", "src/nflog/", "src/firewall/"],
    reason: "a configuration says what is wanted; src/firewall says it in the kernel's words",
  },
  {
    from: ["src/firewall/"],
    never: ["src/nfqueue/", "src/nflog/", "src/knock/"],
    reason: "the ruleset follows from the configuration, never from what a packet did",
  },
  {
    from: ["ffi/"],
    never: ["src/knock/", "src/config/", "src/firewall/", "src/daemon/", "src/client/"],
    reason: "the unsafe edge wraps C libraries and decides nothing",
  },
  {
    from: ["src/", "ffi/"],
    never: ["src/cli/"],
    except: ["src/cli/"],
    reason: "commands are thin and on top: only main.ts starts them",
  },
  {
    from: product,
    never: ["main.ts", "tests/", "scripts/", "npm:fast-check"],
    reason: "the product needs neither its entry point nor its tests",
  },
  {
    from: product,
    never: ["https:", "http:", "jsr:", "node:child_process"],
    reason: "all code is in the repository or in the lock file, and pk never starts a process",
  },
];

export const wordRules: readonly WordRule[] = [
  {
    in: pure,
    never: /\bDeno\b/,
    reason: "a pure layer that says Deno can do I/O",
  },
  {
    in: ["src/knock/"],
    never: /\b(Date|performance|setTimeout|setInterval|Math\.random)\b/,
    reason: "time is in the event and chance in the parameters, so that every run can be repeated",
  },
  {
    in: ["src/", "ffi/"],
    never: /\bDeno\.exit(Code)?\b/,
    reason: "main.ts alone ends the process, after everything was put away",
  },
  {
    in: ["main.ts", "src/"],
    never: /\bDeno\.(dlopen|Unsafe\w+|Pointer\w+|DynamicLibrary)\b/,
    reason: "pointers stay in ffi/, where a reader looks for what can crash",
  },
  {
    in: product,
    never: /\bDeno\.(Command|run)\b|\bnode:child_process\b/,
    reason: "pk never starts a process",
  },
  {
    in: product,
    never: /^export default\b/m,
    reason: "a name that is given once can be searched for",
  },
];

export const vagueFileName = /(^|\/)(index|utils?|helpers?|common|misc)\.ts$/;
