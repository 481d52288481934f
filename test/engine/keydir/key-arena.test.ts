/** Key pages: garbage is bounded, live keys survive the move, pages come back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Keydir, NO_ENTRY } from "../../../src/engine/keydir/keydir.js";

/** Key `number`, of a length that goes with it; its first bytes tell the number. */
function keyOf(number: number, bytes: number): Buffer {
  const key = Buffer.alloc(bytes, number & 0xff);
  key.writeUInt32LE(number);
  return key;
}

for (const { name, bytes, keys } of [
  { name: "keys of one-byte length", bytes: (i: number) => 40 + (i % 80), keys: 20_000 },
  { name: "keys of two-byte length", bytes: (i: number) => 128 + (i % 2_000), keys: 4_000 },
  { name: "keys with a page each", bytes: (i: number) => 16_380 + (i % 8) * 7_000, keys: 100 },
]) {
  test(`pages of removed keys come back while the others stay where they are found: ${name}`, () => {
    const keydir = new Keydir({ seed: new Uint8Array(16).fill(3) });
    for (let i = 0; i < keys; i++) {
      const key = keyOf(i, bytes(i));
      keydir.put(key, 0, key.length, 0, i, 1, 0, 1);
    }
    while (keydir.maintain());
    const full = keydir.bytes;
    let removedBytes = 0;
    for (let i = 0; i < keys; i++) {
      if (i % 4 === 0) continue;
      keydir.remove(keydir.find(keyOf(i, bytes(i))));
      removedBytes += bytes(i);
      // One in seven comes back at once: its old cell must not be taken for the new one.
      if (i % 7 !== 0) continue;
      const key = keyOf(i, bytes(i));
      keydir.put(key, 0, key.length, 0, i, 1, 0, 1);
      removedBytes -= bytes(i);
    }
    while (keydir.maintain());
    for (let i = 0; i < keys; i++) {
      const key = keyOf(i, bytes(i));
      const entry = keydir.find(key);
      assert.equal(entry !== NO_ENTRY, i % 4 === 0 || i % 7 === 0, `key ${i}`);
      if (entry === NO_ENTRY) continue;
      assert.equal(keydir.offsetOf(entry), i);
      assert.ok(Buffer.from(keydir.keyOf(entry)).equals(key));
    }
    // What stays fills its pages by half at least: a third of all, and a third again.
    const freed = full - keydir.bytes;
    assert.ok(freed >= removedBytes / 3, `${freed} of ${removedBytes} removed bytes came back`);
    keydir.forEach((entry) => {
      keydir.remove(entry);
    });
    while (keydir.maintain());
    assert.equal(keydir.bytes, new Keydir({ seed: new Uint8Array(16) }).bytes);
  });
}

test("keys that come and go without upkeep leave a bounded amount of garbage (V11)", () => {
  const keydir = new Keydir({ seed: new Uint8Array(16).fill(4) });
  const keys = 5_000;
  const put = (i: number) => keydir.put(keyOf(i, 1_000), 0, 1_000, 0, i, 1, 0, 1);
  for (let i = 0; i < keys; i++) put(i);
  for (let i = 0; i < 40_000; i++) {
    // One in eight stays for ever, so that no page empties by itself.
    if (i % 8 !== 0) keydir.remove(keydir.find(keyOf(i, 1_000)));
    put(keys + i);
  }
  const liveBytes = keydir.count * 1_000;
  assert.ok(keydir.bytes < 2.6 * liveBytes, `${keydir.bytes} for ${liveBytes}`);
});
