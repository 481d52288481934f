/** The keydir by example: exact fields, odd keys, collisions, memory that comes back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KvixError } from "../../../src/base/kvix-error.js";
import { Keydir, type KeydirOptions, NO_ENTRY } from "../../../src/engine/keydir/keydir.js";

const seed = Uint8Array.from({ length: 16 }, (_, i) => i * 17 + 3);

function newKeydir(options: Partial<KeydirOptions> = {}): Keydir {
  return new Keydir({ seed, ...options });
}

function put(keydir: Keydir, key: Uint8Array, version = 1, expiresAtMs = 0): number {
  return keydir.put(key, 0, key.length, 7, version, 100, expiresAtMs, version);
}

/** A key of eight bytes that tells its number; scattered, so that puts come in no order. */
function keyOf(number: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeUInt32BE(Math.imul(number, 0x9e3779b1) >>> 0, 0);
  key.writeUInt32BE(number, 4);
  return key;
}

function maintainAll(keydir: Keydir): void {
  for (let steps = 0; keydir.maintain(); steps++) assert.ok(steps < 1_000_000, "upkeep ends");
}

test("an entry gives back every field exactly, up to its last bit (I4)", () => {
  const keydir = newKeydir();
  const highest48 = 2 ** 48 - 1;
  const cases: [number, number, number, number, number][] = [
    [0, 0, 1, 0, 1],
    [1, 2 ** 31 - 1, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 32 - 1],
    [32_768, 2 ** 31, 2 ** 31, 2 ** 32, 2 ** 32],
    [65_535, 2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32 + 1, 2 ** 32 + 1],
    [65_535, 2 ** 32 - 1, 2 ** 32 - 1, highest48, highest48],
    [65_535, 2 ** 32 - 1, 1, 0, 2 ** 47],
    [0, 0, 2 ** 32 - 1, 2 ** 47, 1],
  ];
  const entries = cases.map((fields, i) => keydir.put(keyOf(i), 0, 8, ...fields));
  const again = keyOf(99);
  for (const [i, fields] of cases.entries()) {
    const overwritten = keydir.put(again, 0, 8, ...fields);
    for (const entry of [entries[i]!, overwritten, keydir.find(keyOf(i))]) {
      const found = [
        keydir.segmentOf(entry),
        keydir.offsetOf(entry),
        keydir.lengthOf(entry),
        keydir.expiresAtMsOf(entry),
        keydir.versionOf(entry),
      ];
      assert.deepEqual(found, fields);
    }
  }
  assert.equal(keydir.count, cases.length + 1);
});

for (const { name, options } of [
  { name: "by their hashes", options: {} },
  { name: "though all hashes are equal", options: { hash: () => 7 } },
]) {
  test(`keys are told apart byte by byte, whatever the bytes, ${name} (I5, I7)`, () => {
    const keydir = newKeydir(options);
    const names = ["__proto__", "constructor", "\0", "\0\0", "a", "a\0", "ä", "a\u0308", "NaN"];
    const keys = names.map((name) => Buffer.from(name));
    keys.push(Buffer.from([0xff]), Buffer.from([0xff, 0xff]), Buffer.from([0x7f]));
    keys.push(Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0xc3, 0x28]), Buffer.from([0x80]));
    for (const length of [126, 127, 128, 129, 255, 256, 16_383, 16_384, 16_385, 65_534, 65_535]) {
      keys.push(Buffer.alloc(length, 0x61), Buffer.alloc(length, 0xff));
      keys.push(Buffer.concat([Buffer.alloc(length - 1, 0x61), Buffer.from([0])]));
    }
    // Of these, those of one length differ in their last byte alone.
    for (let i = 0; i < 12; i++) {
      keys.push(Buffer.concat([Buffer.alloc(4 + (i % 4), 0x61), Buffer.from([0x62 + i])]));
    }
    keys.forEach((key, i) => {
      assert.equal(keydir.find(key), NO_ENTRY);
      put(keydir, key, i + 1);
    });
    assert.equal(keydir.count, keys.length);
    keys.forEach((key, i) => {
      const entry = keydir.find(key);
      assert.equal(keydir.versionOf(entry), i + 1);
      assert.equal(keydir.keyLengthOf(entry), key.length);
      assert.deepEqual(Buffer.from(keydir.keyOf(entry)), key);
      const inside = Buffer.concat([Buffer.from("..."), key, Buffer.from("...")]);
      assert.equal(keydir.findIn(inside, 3, 3 + key.length), entry);
      assert.equal(keydir.find(key.subarray(0, -1)) === entry, false);
    });
    const sorted = [...keys].sort(Buffer.compare);
    const walked: Buffer[] = [];
    const cursor = keydir.first();
    for (let entry = cursor.next(); entry !== NO_ENTRY; entry = cursor.next()) {
      walked.push(Buffer.from(keydir.keyOf(entry)));
    }
    assert.deepEqual(walked, sorted);
  });
}

test("an empty key and one of 65,536 bytes are refused (I5)", () => {
  const keydir = newKeydir();
  const reasonOf = (length: number) => {
    try {
      put(keydir, new Uint8Array(length));
    } catch (error) {
      assert.ok(error instanceof KvixError);
      return error.reason;
    }
    return "none";
  };
  assert.equal(reasonOf(0), "KEY_EMPTY");
  assert.equal(reasonOf(65_536), "KEY_TOO_LARGE");
  assert.equal(reasonOf(65_535), "none");
  assert.equal(keydir.find(new Uint8Array(0)), NO_ENTRY);
  assert.equal(keydir.find(new Uint8Array(65_536)), NO_ENTRY);
});

test("a hundred thousand keys of one hash are still told apart (I7)", () => {
  const keydir = newKeydir({ hash: () => 7 });
  const keys = 100_000;
  for (let i = 0; i < keys; i++) put(keydir, keyOf(i), i + 1);
  assert.equal(keydir.count, keys);
  for (let i = 0; i < keys; i += 7) assert.equal(keydir.versionOf(keydir.find(keyOf(i))), i + 1);
  assert.equal(keydir.find(keyOf(keys)), NO_ENTRY);
  for (let i = 0; i < keys; i += 2) keydir.remove(keydir.find(keyOf(i)));
  for (let i = 0; i < keys; i += 11) {
    const entry = keydir.find(keyOf(i));
    assert.equal(entry === NO_ENTRY ? 0 : keydir.versionOf(entry), i % 2 === 0 ? 0 : i + 1);
  }
  for (let i = 1; i < keys; i += 2) keydir.remove(keydir.find(keyOf(i)));
  assert.equal(keydir.count, 0);
  assert.ok(keydir.worstStepBytes <= 65_536);
});

test("keys of a few hashes are still told apart while the table grows and shrinks (I7)", () => {
  const keydir = newKeydir({ hash: (key) => (key[3]! & 0x0f) * 0x01010101 });
  const keys = 20_000;
  for (let i = 0; i < keys; i++) put(keydir, keyOf(i), i + 1);
  for (let i = 0; i < keys; i++) assert.equal(keydir.versionOf(keydir.find(keyOf(i))), i + 1);
  for (let i = 0; i < keys; i++) {
    keydir.remove(keydir.find(keyOf(i)));
    assert.equal(keydir.find(keyOf(i)), NO_ENTRY);
    if (i % 500 !== 0) continue;
    maintainAll(keydir);
    for (let j = i + 1; j < keys; j += 97) assert.notEqual(keydir.find(keyOf(j)), NO_ENTRY);
  }
});

test("no step touches more than 64 KiB of index pages, long keys or short (V11)", () => {
  const keydir = newKeydir();
  for (let i = 0; i < 60_000; i++) put(keydir, keyOf(i), i + 1);
  const long = Buffer.alloc(16_384, 0x61);
  for (let i = 0; i < 200; i++) {
    long.writeUInt32BE(i, long.length - 4);
    put(keydir, long, i + 1);
  }
  for (let i = 0; i < 60_000; i += 3) keydir.remove(keydir.find(keyOf(i)));
  for (let i = 0; i < 200; i += 3) {
    long.writeUInt32BE(i, long.length - 4);
    keydir.remove(keydir.find(long));
  }
  keydir.seek(keyOf(5), true).next();
  maintainAll(keydir);
  assert.ok(keydir.worstStepBytes > 10_000, "the steps are counted");
  assert.ok(keydir.worstStepBytes <= 65_536, `${keydir.worstStepBytes}`);
});

test("memory comes back when every key is removed and upkeep is done", () => {
  const keydir = newKeydir();
  const before = keydir.bytes;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 50_000; i++) put(keydir, keyOf(i), i + 1, round * (i + 1));
    put(keydir, Buffer.alloc(60_000, 1));
    assert.ok(keydir.bytes > 50_000 * 40);
    keydir.forEach((entry) => {
      keydir.remove(entry);
    });
    maintainAll(keydir);
    assert.equal(keydir.count, 0);
    assert.equal(keydir.expiring, 0);
    assert.equal(keydir.bytes, before);
  }
  assert.ok(before <= 256 * 1024, `an empty index has ${before} bytes`);
});

test("memory comes back in part, without any call to maintain, when most keys go (V11)", () => {
  const keydir = newKeydir();
  const keys = 60_000;
  for (let i = 0; i < keys; i++) put(keydir, keyOf(i), i + 1);
  const full = keydir.bytes;
  // Long churn of the same number of keys: what is removed must be used again.
  for (let i = 0; i < 3 * keys; i++) {
    keydir.remove(keydir.find(keyOf(i)));
    put(keydir, keyOf(i + keys), i + 1);
  }
  assert.equal(keydir.count, keys);
  assert.ok(keydir.bytes < 1.75 * full, `${keydir.bytes} of ${full}`);
  maintainAll(keydir);
  assert.ok(keydir.bytes < 1.5 * full, `${keydir.bytes} of ${full}`);
});

test("bytesFor bounds what inserting allocates", () => {
  const keydir = newKeydir();
  for (let i = 0; i < 30_000; i++) {
    const before = keydir.bytes;
    const bound = keydir.bytesFor(8);
    put(keydir, keyOf(i), i + 1, i % 3);
    assert.ok(keydir.bytes - before <= bound, `key ${i}: ${keydir.bytes - before} > ${bound}`);
  }
  const before = keydir.bytes;
  const bound = keydir.bytesFor(8 * 100_000, 100_000);
  for (let i = 0; i < 100_000; i++) put(keydir, keyOf(30_000 + i), i + 1);
  assert.ok(keydir.bytes - before <= bound);
  assert.ok(bound < 2 * (keydir.bytes - before), "and is no wild guess");
});

test("forEach shows every entry once, in the order of numbers, while some are removed", () => {
  const keydir = newKeydir();
  for (let i = 0; i < 20_000; i++) put(keydir, keyOf(i), i + 1);
  let last = -1;
  let seen = 0;
  keydir.forEach((entry) => {
    assert.ok(entry > last);
    last = entry;
    seen++;
    if (seen % 2 === 0) keydir.remove(entry);
  });
  assert.equal(seen, 20_000);
  assert.equal(keydir.count, 10_000);
});
