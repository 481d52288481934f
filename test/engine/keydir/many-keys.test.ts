/**
 * More keys than a JS Map or Set can hold (I4). Takes a gigabyte and a minute:
 * the full size runs with KVIX_LONG=1, a hundredth of it always.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Keydir, NO_ENTRY } from "../../../src/engine/keydir/keydir.js";

const isLong = process.env["KVIX_LONG"] === "1";
const keys = isLong ? 17_500_000 : 175_000;

test(`${keys} keys are found, ordered, and removed again (I4: 16,777,216 is no limit)`, () => {
  const keydir = new Keydir({ seed: new Uint8Array(16).fill(1) });
  const empty = keydir.bytes;
  const key = Buffer.alloc(8);
  const write = (number: number) => {
    key.writeUInt32BE(Math.imul(number, 0x9e3779b1) >>> 0, 0);
    key.writeUInt32BE(number, 4);
  };
  for (let i = 0; i < keys; i++) {
    write(i);
    keydir.put(key, 0, 8, i & 0xffff, (i * 200) >>> 0, 200, 0, i + 1);
  }
  assert.equal(keydir.count, keys);
  for (let i = 0; i < keys; i++) {
    write(i);
    const entry = keydir.findIn(key, 0, 8);
    if (entry === NO_ENTRY || keydir.versionOf(entry) !== i + 1) assert.fail(`key ${i}`);
  }
  const cursor = keydir.first();
  let walked = 0;
  let lastHigh = -1;
  for (let entry = cursor.next(); entry !== NO_ENTRY; entry = cursor.next()) {
    const high = Math.imul(keydir.versionOf(entry) - 1, 0x9e3779b1) >>> 0;
    if (high <= lastHigh) assert.fail(`out of order after ${walked}`);
    lastHigh = high;
    walked++;
  }
  assert.equal(walked, keys);
  keydir.forEach((entry) => {
    keydir.remove(entry);
  });
  while (keydir.maintain());
  assert.equal(keydir.count, 0);
  assert.equal(keydir.bytes, empty);
  assert.ok(keydir.worstStepBytes <= 65_536);
});
