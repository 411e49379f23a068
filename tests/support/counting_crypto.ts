// The real cryptography, with its dear calls counted: what a lock spends on strangers.

import { nodeCrypto } from "../../src/crypto/node_crypto.ts";
import type { KnockCrypto } from "../../src/knock/crypto.ts";

/** Both counts may be set back. */
export interface CountingCrypto extends KnockCrypto {
  /** Keys derived by scrypt. */
  derived: number;
  /** Messages authenticated. */
  hmacs: number;
}

export function countingCrypto(): CountingCrypto {
  const crypto: CountingCrypto = {
    ...nodeCrypto,
    derived: 0,
    hmacs: 0,
    scrypt(...question) {
      crypto.derived++;
      return nodeCrypto.scrypt(...question);
    },
    hmacSha256(key) {
      const hmac = nodeCrypto.hmacSha256(key);
      return (message) => (crypto.hmacs++, hmac(message));
    },
  };
  return crypto;
}
