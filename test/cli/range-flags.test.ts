/** What --after leaves of a range, held against every key that there is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KEY_BYTES_MAX } from "../../src/base/limits.js";
import { type KeyRange, rangeBehind, typedKey } from "../../src/cli/range-flags.js";

const letters = [0x00, 0x61, 0xff];
/** Every key of one to three of these bytes, in order. */
const keys = letters
  .flatMap((one) => [
    [one],
    ...letters.flatMap((two) => [[one, two], ...letters.map((three) => [one, two, three])]),
  ])
  .map((bytes) => Buffer.from(bytes))
  .sort(Buffer.compare);
const none = Buffer.alloc(0);

/** The keys that the service would find in a range. */
function inRange({ prefix, start, end }: KeyRange): Buffer[] {
  return keys.filter(
    (key) =>
      key.subarray(0, prefix.length).equals(prefix) &&
      Buffer.compare(key, start) >= 0 &&
      (end.length === 0 || Buffer.compare(key, end) < 0),
  );
}

test("what is left of a range behind any key, and before it in reverse, is exactly its other keys", () => {
  const bounds = [none, ...keys];
  const ranges: KeyRange[] = bounds.map((prefix) => ({ prefix, start: none, end: none }));
  for (const start of bounds) {
    for (const end of bounds) {
      const isRange = end.length === 0 || Buffer.compare(start, end) <= 0;
      if (isRange) ranges.push({ prefix: none, start, end });
    }
  }
  for (const range of ranges) {
    for (const after of keys) {
      for (const isReverse of [false, true]) {
        const left = rangeBehind(range, after, isReverse);
        const found = left === undefined ? [] : inRange(left);
        const wanted = inRange(range).filter((key) =>
          isReverse ? Buffer.compare(key, after) < 0 : Buffer.compare(key, after) > 0,
        );
        assert.deepEqual(found, wanted, JSON.stringify({ range, after, isReverse }));
        if (left === undefined) continue;
        // The service refuses a prefix beside a bound, and an end below the start.
        assert.equal(left.prefix.length, 0);
        assert.ok(left.end.length === 0 || Buffer.compare(left.start, left.end) <= 0);
      }
    }
  }
});

test("behind the longest key there is no bound that is longer than a key may be", () => {
  const all = { prefix: none, start: none, end: none };
  const longest = Buffer.alloc(KEY_BYTES_MAX, 0x61);
  const left = rangeBehind(all, longest, false);
  assert.equal(left?.start.length, KEY_BYTES_MAX);
  assert.equal(left.start.at(-1), 0x62);
  assert.equal(rangeBehind(all, Buffer.alloc(KEY_BYTES_MAX, 0xff), false), undefined);
});

test("a key is named so that a shell takes it for the same bytes", () => {
  assert.equal(typedKey("--after", Buffer.from("user:1"), "text"), "--after user:1");
  assert.equal(typedKey("--after", Buffer.from("a $b!"), "text"), "--after 'a $b!'");
  assert.equal(typedKey("--after", Buffer.from("it's"), "text"), "--hex --after 69742773");
  assert.equal(typedKey("--after", Buffer.from("a\\b"), "text"), "--hex --after 615c62");
  assert.equal(typedKey("--after", Buffer.from("a\nb"), "text"), "--hex --after 610a62");
  assert.equal(typedKey("--after", Buffer.from([0xff]), "text"), "--hex --after ff");
  assert.equal(typedKey("--after", Buffer.from([0xff]), "base64"), "--base64 --after /w==");
});
