// The few error classes of pk. An exception means a bug, a refusal by the kernel, or a mistake of
// the person at the keyboard; hostile bytes in packets never cause one (they are outcomes, counted).

/** Bytes from a trusted sender (the kernel) that do not have the promised shape. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
  /** Offset in bytes at which reading failed. */
  readonly offset: number;
  /** Bytes needed there. */
  readonly need: number;
  /** Bytes that were left. */
  readonly have: number;

  constructor(what: string, offset: number, need: number, have: number) {
    super(`Cannot read ${what} at offset ${offset}: needs ${need} bytes, has ${have}`);
    this.offset = offset;
    this.need = need;
    this.have = have;
  }
}

/** A refusal by the kernel or by libc, with errno as a name and the kernel's own words. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  /** What was tried, in the imperative without "Cannot": `add chain "guard"`. */
  readonly operation: string;
  /** errno(3) as a number, positive. */
  readonly errno: number;
  /** errno(3) by name: "EPERM". */
  readonly code: string;
  /** The extended ack's message (NLMSGERR_ATTR_MSG), when the kernel sent one. */
  readonly kernelMessage: string | undefined;

  constructor(operation: string, errno: number, kernelMessage?: string) {
    const code = errnoName(errno);
    super(`Cannot ${operation}: ${code}${kernelMessage ? ` (${kernelMessage})` : ""}`);
    this.operation = operation;
    this.errno = errno;
    this.code = code;
    this.kernelMessage = kernelMessage;
  }
}

/** A transaction that was refused, and so changed nothing; the words are those of the first refusal. */
export class TransactionError extends KernelError {
  /** Indexes of the requests that the kernel refused. It looks at all of them before it gives up. */
  readonly refused: ReadonlySet<number>;

  constructor(first: KernelError, refused: ReadonlySet<number>) {
    super(first.operation, first.errno, first.kernelMessage);
    this.refused = refused;
  }
}

/** A transaction that was sent, and whose answer did not come: it may have been carried out. */
export class UnansweredError extends KernelError {}

/** A mistake in how pk was called; exit code 2. The hint says what to do next. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** Undefined: the help of the command that was called. */
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** A mistake in a file that somebody wrote. */
export interface Problem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  /** What is wrong. Fit for a log. */
  readonly message: string;
  /** What is allowed, or what to do. */
  readonly hint: string | undefined;
  /** The line with a mark under the place; undefined where the line must not be shown. */
  readonly excerpt: string | undefined;
}

/** Problems that are shown in words; whoever made them knows what to do by then. */
const PROBLEMS_SHOWN = 50;

/**
 * A file that cannot be used, with everything that is wrong in it; exit code 3. The message is fit for a
 * log: it repeats no lines, which may have sequences in them.
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly file: string;
  /** One at least. */
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    super(problemsText(problems.map((problem) => ({ ...problem, excerpt: undefined }))));
    this.file = file;
    this.problems = problems;
  }

  /** The problems with the lines that they are in, for whoever may see the file. */
  drawing(): string {
    return problemsText(this.problems);
  }
}

function problemsText(problems: readonly Problem[]): string {
  const more = problems.length - PROBLEMS_SHOWN;
  const shown = problems.slice(0, PROBLEMS_SHOWN).map(problemText);
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}

function problemText({ file, line, column, message, hint, excerpt }: Problem): string {
  const head = `${file}:${line}:${column}: ${message}`;
  return [head, excerpt, hint === undefined ? undefined : `     ${hint}`]
    .filter((part) => part !== undefined).join("\n");
}

/** Something the host lacks or forbids (library, capability, queue); exit code 1. */
export class HostError extends Error {
  override readonly name = "HostError";
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** errno numbers of Linux (asm-generic/errno-base.h, errno.h) that pk can meet, by name. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ELOOP: 40,
  EBADMSG: 74,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
  ESTALE: 116,
  EDQUOT: 122,
} as const;

const NAMES = new Map<number, string>(Object.entries(ERRNO).map(([name, value]) => [value, name]));

/** Name of an errno: `errnoName(1)` is "EPERM"; one not in the table reads "errno 77". */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}
