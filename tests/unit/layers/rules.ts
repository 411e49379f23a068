// The architecture as two tables: which folder may not import which, and which words belong where.
// Paths are relative to the project; a folder stands for everything in it. Each line has its reason,
// which is the name of its test.

export interface ImportRule {
  readonly from: readonly string[];
  /** Of those, the ones that may. */
  readonly but?: readonly string[];
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
  "src/yaml/",
  "src/import/",
  "src/page/",
  "src/firewall/",
  "src/errors.ts",
  "src/limits.ts",
];

/** What every layer may import. */
const foundations = ["src/errors.ts", "src/limits.ts"];

const product = ["main.ts", "src/", "ffi/"];

/** Of the client, without I/O: pages are made with it, too. */
const clientValues = [
  "src/client/private_address.ts",
  "src/client/profile.ts",
  "src/client/time_step.ts",
];

export const importRules: readonly ImportRule[] = [
  {
    from: pure,
    never: ["ffi/", "src/daemon/", "src/client/", "src/cli/", "src/crypto/"],
    except: clientValues,
    reason:
      "pure layers run without permissions, so that they can be tested with nothing but values",
  },
  {
    from: clientValues,
    never: ["ffi/", "src/daemon/", "src/client/", "src/cli/", "src/crypto/", "npm:", "node:"],
    except: clientValues,
    reason: "what pages take from the client is as pure as they are",
  },
  {
    from: pure,
    never: ["npm:"],
    except: ["npm:yaml@", "npm:valibot@"],
    reason:
      "pure layers depend on nobody's code but ours: packages serve the command line and the log",
  },
  {
    from: product,
    but: ["src/yaml/"],
    never: ["npm:yaml@"],
    reason: "one place reads YAML, so that every file has its mistakes told in the same way",
  },
  {
    from: product,
    but: ["src/yaml/", "src/config/", "src/client/hosts_schema.ts"],
    never: ["npm:valibot@"],
    reason: "schemas are at the edge, where files become types: nobody checks again behind it",
  },
  {
    from: product,
    but: ["src/cli/", "src/page/"],
    never: ["npm:uqr@"],
    reason: "pictures are for people: only what they see draws them",
  },
  {
    from: product,
    but: ["src/crypto/"],
    never: ["node:crypto"],
    reason: "one place has the cryptography, which costs memory: the rest takes it as a parameter",
  },
  {
    from: ["src/crypto/"],
    never: ["src/", "ffi/", "npm:"],
    except: ["src/crypto/", "src/knock/crypto.ts", ...foundations],
    reason: "cryptography is what src/knock asks for, and knows nobody who uses it",
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
    from: ["src/yaml/"],
    never: ["src/"],
    except: ["src/yaml/", ...foundations],
    reason: "reading YAML knows no configuration: what may stand in one is in its schema",
  },
  {
    from: ["src/import/"],
    never: ["src/netlink/", "src/nftables/", "src/nfqueue/", "src/nflog/", "src/firewall/"],
    reason: "another program's file becomes text for a person: no kernel is asked or told",
  },
  {
    from: ["src/page/"],
    never: ["src/netlink/", "src/nftables/", "src/nfqueue/", "src/nflog/", "src/firewall/"],
    reason: "a page is text that a browser reads: it knows nothing of the server's kernel",
  },
  {
    from: ["src/client/"],
    never: [
      ...["src/daemon/", "src/firewall/", "src/netlink/", "src/nftables/", "src/nfqueue/"],
      ...["src/nflog/", "src/page/", "src/import/"],
    ],
    reason: "a client runs on machines without the server's libraries, and on other systems",
  },
  {
    from: ["src/daemon/"],
    never: ["src/client/", "src/page/", "src/import/"],
    reason: "the server has no use for the client's code, and pays for none of it",
  },
  {
    from: ["src/firewall/"],
    never: ["src/nfqueue/", "src/nflog/", "src/knock/"],
    reason: "the ruleset follows from the configuration, never from what a packet did",
  },
  {
    from: ["ffi/"],
    never: [
      ...["src/knock/", "src/config/", "src/yaml/", "src/import/", "src/page/", "src/crypto/"],
      ...["src/firewall/", "src/daemon/", "src/client/"],
    ],
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

/** What a server that is started with flags loads: it is what an idle one pays for. */
export const startRule: ImportRule = {
  from: ["main.ts"],
  never: [
    ...["npm:yaml@", "npm:valibot@", "npm:uqr@", "node:"],
    ...["src/yaml/", "src/crypto/", "src/client/", "src/page/", "src/import/"],
  ],
  reason: "what a server of plain doors has no use for is loaded when it is asked for",
};

export const wordRules: readonly WordRule[] = [
  {
    in: pure,
    // The name of a symbol, by which a secret hides itself, does no I/O.
    never: /\bDeno\b(?!\.customInspect")/,
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
