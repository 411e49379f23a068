// What a configuration reads beside itself, as a parameter: parsing stays free of I/O.

/** A file as it is found. */
export interface FoundFile {
  readonly bytes: Uint8Array;
  /** Permission bits, such as 0o600; undefined where the system has none. */
  readonly mode: number | undefined;
  /** User id of the owner; undefined where the system has none, or nobody asked. */
  readonly owner?: number | undefined;
}

/** Reads files; a relative path is relative to the current folder. */
export interface Files {
  /** The file, or why it cannot be read: "ENOENT", "EACCES". */
  read(path: string): FoundFile | { readonly reason: string };
}
