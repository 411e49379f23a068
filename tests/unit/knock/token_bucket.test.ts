// TokenBucket: how much it gives, when, and to whom.

import assert from "node:assert/strict";
import { TokenBucket } from "../../../src/knock/token_bucket.ts";

function takeAll(bucket: TokenBucket, left = 0, draw = 0): number {
  let taken = 0;
  while (taken < 1000 && bucket.take(left, draw)) taken++;
  return taken;
}

Deno.test("TokenBucket begins full and refills with time, to no more than its size", () => {
  const bucket = new TokenBucket(100, 20);
  bucket.refill(5000);
  assert.equal(takeAll(bucket), 20);
  bucket.refill(5000);
  assert.equal(takeAll(bucket), 0);
  bucket.refill(5100);
  assert.equal(takeAll(bucket), 10);
  bucket.refill(9_000_000);
  assert.equal(takeAll(bucket), 20);
});

Deno.test("TokenBucket adds up parts of tokens", () => {
  const bucket = new TokenBucket(100, 20);
  bucket.refill(0);
  takeAll(bucket);
  let taken = 0;
  for (let ms = 1; ms <= 1000; ms++) {
    bucket.refill(ms);
    taken += takeAll(bucket);
  }
  assert(taken >= 99 && taken <= 100, `${taken}`);
});

Deno.test("TokenBucket.resize() keeps what fits, and refills at the new rate to the new size", () => {
  const bucket = new TokenBucket(100, 20);
  bucket.refill(0);
  bucket.resize(50, 10);
  assert.equal(takeAll(bucket), 10);
  bucket.refill(100);
  assert.equal(takeAll(bucket), 5);
  bucket.resize(1000, 200);
  assert.equal(takeAll(bucket), 0);
  bucket.refill(150);
  assert.equal(takeAll(bucket), 50);
  bucket.refill(9_000_000);
  assert.equal(takeAll(bucket), 200);
});

Deno.test("TokenBucket.take() leaves what it is told to", () => {
  const bucket = new TokenBucket(100, 20);
  bucket.refill(0);
  assert.equal(takeAll(bucket, 8), 12);
  assert.equal(takeAll(bucket, 8), 0);
  assert.equal(takeAll(bucket), 8);
});

Deno.test("TokenBucket.take() lets the draw decide where tokens are scarce", () => {
  const bucket = new TokenBucket(100, 40);
  bucket.refill(0);
  // A quarter of 40 is scarce: half of it is given to whoever draws below one half.
  assert.equal(takeAll(bucket, 10, 0.999), 21);
  assert.equal(takeAll(bucket, 10, 0.5), 4);
  assert.equal(takeAll(bucket, 10, 0), 5);
  assert.equal(takeAll(bucket, 0, 0), 10);
});
