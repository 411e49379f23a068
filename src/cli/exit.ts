// Exit codes, as --help lists them and pk.service knows them.

export const EXIT = {
  /** Ended as asked. */
  ok: 0,
  /** The host lacks or forbids something, or a bug. */
  failure: 1,
  /** Wrong usage: starting again the same way cannot help. */
  usage: 2,
  /** The configuration has mistakes. */
  configuration: 3,
  /** Done, but something in it needs a person: pk import. */
  attention: 4,
} as const;
