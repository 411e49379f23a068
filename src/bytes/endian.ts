// The byte order of this machine, which netlink headers and most attributes use ("ne").

/** True where the least significant byte comes first (x86-64, arm64). */
export const LITTLE_ENDIAN: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
