/** The keyed hash, against published values and a second implementation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeyedHash } from "../../../src/engine/keydir/keyed-hash.js";

/** HalfSipHash-1-3 as its paper puts it: one step after the other, nothing folded. */
function referenceHash(seed: Uint8Array, message: Uint8Array): number {
  const word = (bytes: Uint8Array, at: number) =>
    [0, 1, 2, 3].reduce((sum, i) => sum + (bytes[at + i] ?? 0) * 2 ** (8 * i), 0) | 0;
  const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));
  const v = [word(seed, 0), word(seed, 4), word(seed, 8), word(seed, 12)] as [
    number,
    number,
    number,
    number,
  ];
  v[2] ^= 0x6c796765;
  v[3] ^= 0x74656462;
  const round = () => {
    v[0] = (v[0] + v[1]) | 0;
    v[1] = rotate(v[1], 5) ^ v[0];
    v[0] = rotate(v[0], 16);
    v[2] = (v[2] + v[3]) | 0;
    v[3] = rotate(v[3], 8) ^ v[2];
    v[0] = (v[0] + v[3]) | 0;
    v[3] = rotate(v[3], 7) ^ v[0];
    v[2] = (v[2] + v[1]) | 0;
    v[1] = rotate(v[1], 13) ^ v[2];
    v[2] = rotate(v[2], 16);
  };
  const padded = new Uint8Array(Math.floor(message.length / 4) * 4 + 4);
  padded.set(message);
  padded[padded.length - 1] = message.length & 0xff;
  for (let at = 0; at < padded.length; at += 4) {
    v[3] ^= word(padded, at);
    round();
    v[0] ^= word(padded, at);
  }
  v[2] ^= 0xff;
  for (let i = 0; i < 3; i++) round();
  return v[1] ^ v[3];
}

/** Bytes `from`, `from` + 1, ... */
function counting(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

test("with both halves of the seed equal the hash is HalfSipHash-1-3 as published", () => {
  const hash = new KeyedHash(new Uint8Array([...counting(0, 8), ...counting(0, 8)]));
  // Message n is the bytes 0..n-1; the published values for n = 0, 1, 2, 3, 4, 7, 8 and 63.
  const published = [
    [0, 0x5814c896],
    [1, 0xe7e864ca],
    [2, 0xbc4b0e30],
    [3, 0x01539939],
    [4, 0x7e059ea6],
    [7, 0x9d38d9d6],
    [8, 0x577999b1],
    [63, 0x87178304],
  ] as const;
  for (const [length, value] of published) {
    assert.equal(hash.of(counting(0, length), 0, length) >>> 0, value, `length ${length}`);
  }
});

test("the hash of a slice equals the reference's hash of its bytes", () => {
  const seeds = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const messages = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(seeds, messages, fc.nat(9), (seed, message, before) => {
      const source = new Uint8Array(before + message.length + 5).fill(0xa5);
      source.set(message, before);
      const hash = new KeyedHash(seed).of(source, before, before + message.length);
      assert.equal(hash, referenceHash(seed, message));
    }),
  );
});

test("every byte of the seed matters (I7)", () => {
  const key = counting(0, 16);
  const hashes = new Set<number>();
  for (let i = 0; i < 16; i++) {
    const seed = new Uint8Array(16);
    seed[i] = 1;
    hashes.add(new KeyedHash(seed).of(key, 0, 16));
  }
  assert.equal(hashes.size, 16);
});

test("a seed of another length is refused", () => {
  assert.throws(() => new KeyedHash(new Uint8Array(8)), RangeError);
});
