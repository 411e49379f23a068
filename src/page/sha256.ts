// SHA-256 (FIPS 180-4) and HMAC (RFC 2104) for the page, whose script they become as source text:
// each function uses nothing but its arguments and the others here. Browsers have both in
// crypto.subtle, but only in secure contexts, and a page may come over plain HTTP.

/** The digest, 32 bytes. */
export function sha256(message: Uint8Array): Uint8Array {
  // The first 32 bits of the fractional parts of the cube and square roots of the first primes.
  const primes: number[] = [];
  for (let number = 2; primes.length < 64; number++) {
    if (primes.every((prime) => number % prime !== 0)) primes.push(number);
  }
  const fraction = (root: number) => Math.floor((root - Math.floor(root)) * 2 ** 32);
  const constants = primes.map((prime) => fraction(Math.cbrt(prime)));
  const state = Uint32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));

  const padded = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29));
  view.setUint32(padded.length - 4, message.length * 8);

  const rotated = (word: number, bits: number) => word >>> bits | word << (32 - bits);
  const words = new Uint32Array(64);
  const word = (index: number) => words[index] as number;
  for (let block = 0; block < padded.length; block += 64) {
    for (let index = 0; index < 64; index++) {
      if (index < 16) {
        words[index] = view.getUint32(block + index * 4);
        continue;
      }
      const [before15, before2] = [word(index - 15), word(index - 2)];
      const small0 = rotated(before15, 7) ^ rotated(before15, 18) ^ before15 >>> 3;
      const small1 = rotated(before2, 17) ^ rotated(before2, 19) ^ before2 >>> 10;
      words[index] = word(index - 16) + small0 + word(index - 7) + small1;
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
    for (let index = 0; index < 64; index++) {
      const big1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
      const choice = e & f ^ ~e & g;
      const one = h + big1 + choice + (constants[index] as number) + word(index) | 0;
      const big0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
      const majority = a & b ^ a & c ^ b & c;
      [h, g, f, e, d, c, b, a] = [g, f, e, d + one | 0, c, b, a, one + big0 + majority | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, index) => {
      state[index] = (state[index] as number) + value;
    });
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((value, index) => digest.setUint32(index * 4, value));
  return new Uint8Array(digest.buffer);
}

/** HMAC-SHA-256, 32 bytes. */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array {
  const short = key.length > 64 ? sha256(key) : key;
  const keyed = (pad: number, text: Uint8Array) => {
    const bytes = new Uint8Array(64 + text.length).fill(pad, 0, 64);
    short.forEach((byte, index) => bytes[index] = byte ^ pad);
    bytes.set(text, 64);
    return sha256(bytes);
  };
  return keyed(0x5c, keyed(0x36, message));
}
