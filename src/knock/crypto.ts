// The cryptography that knocks need, as a parameter: the machine stays free of it, and a server whose
// doors are all plain does not load it. src/crypto has the implementation.

export type Bytes = Uint8Array<ArrayBuffer>;

export interface KnockCrypto {
  /** HMAC-SHA-256 under one key (RFC 2104): message to 32 bytes. */
  hmacSha256(key: Uint8Array): (message: Uint8Array) => Bytes;
  /** One AES-256 block of 16 bytes under one key of 32 (FIPS 197), without chaining or padding. */
  aesEncrypt(key: Uint8Array): (block: Uint8Array) => Bytes;
  aesDecrypt(key: Uint8Array): (block: Uint8Array) => Bytes;
  /** scrypt (RFC 7914) with the parameters of PROTOCOL.md: passphrase and salt to so many bytes. */
  scrypt(passphrase: Uint8Array, salt: Uint8Array, length: number): Promise<Bytes>;
}
