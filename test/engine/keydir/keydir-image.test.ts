/** A keydir saved and restored: the same entries, order and figures, and a keydir like any other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Keydir, type KeydirImage, NO_ENTRY } from "../../../src/engine/keydir/keydir.js";
import { CHECKPOINT_FORMAT_VERSION } from "../../../src/format/checkpoint.js";
import { crc32 } from "../../../src/format/checksum.js";
import { SimRandom } from "../../support/sim-random.js";

const seed = Uint8Array.from({ length: 16 }, (_, index) => index);
const keyText = (number: number): string => {
  const size = [8, 8, 8, 8, 40, 200, 3000][number % 7] ?? 8;
  return String(Math.imul(number + 1, 0x9e3779b1) >>> 0).padStart(size, "k");
};
const keyBytes = (text: string): Uint8Array => Buffer.from(text);

/** Restores what a keydir saved, as a checkpoint does: through JSON and through bytes. */
function restored(keydir: Keydir): Keydir {
  const { parts, pages } = keydir.save();
  const text = JSON.stringify(parts);
  const copies = pages.map((page) => page.slice());
  const copy = Keydir.restored(JSON.parse(text) as KeydirImage);
  assert.deepEqual(
    copy.pages.map(({ length }) => length),
    copies.map(({ length }) => length),
  );
  for (const [index, page] of copy.pages.entries()) page.set(copies[index] ?? []);
  return copy.keydir;
}

/** Everything that can be seen of a keydir, in key order. */
function contents(keydir: Keydir): string[] {
  const rows: string[] = [];
  const cursor = keydir.first();
  for (let entry = cursor.next(); entry !== NO_ENTRY; entry = cursor.next()) {
    const key = Buffer.from(keydir.keyOf(entry)).toString();
    assert.equal(keydir.find(keyBytes(key)), entry);
    const place = `${keydir.segmentOf(entry)}/${keydir.offsetOf(entry)}/${keydir.lengthOf(entry)}`;
    rows.push(`${key} ${place} ${keydir.expiresAtMsOf(entry)} ${keydir.versionOf(entry)}`);
  }
  return rows;
}

function figures(keydir: Keydir) {
  const { count, expiring, bytes, runCount } = keydir;
  return { count, expiring, bytes, runCount };
}

/** Some writes, removals and steps of upkeep, the same for the same random numbers. */
function change(keydir: Keydir, random: SimRandom, writes: number, keys: number): void {
  for (let write = 0; write < writes; write++) {
    const key = keyBytes(keyText(random.below(keys)));
    const kind = random.below(10);
    if (kind < 6) {
      const expiresAtMs = random.chance(0.3) ? 1 + random.below(2 ** 31) * 1000 : 0;
      const version = 2 ** 40 + write;
      keydir.put(key, 0, key.length, random.below(65_536), write, 99, expiresAtMs, version);
    } else if (kind < 9) {
      const entry = keydir.find(key);
      if (entry !== NO_ENTRY) keydir.remove(entry);
    } else if (random.chance(0.05)) {
      keydir.maintain();
    }
  }
}

function thinOut(keydir: Keydir, random: SimRandom): void {
  keydir.forEach((entry) => {
    if (random.chance(0.9)) keydir.remove(entry);
  });
}

test("I8 a keydir is the same after it was saved and restored, at any point of its life", () => {
  const random = new SimRandom(5);
  let keydir = new Keydir({ seed });
  for (let round = 0; round < 12; round++) {
    // Growing, then shrinking, so that merges, purges and evacuations are under way.
    change(keydir, random, 6_000, round < 8 ? 12_000 : 1_500);
    if (round === 9) thinOut(keydir, random);
    const before = contents(keydir);
    const copy = restored(keydir);
    const steps = new SimRandom(round);
    for (let step = 0; step < 40; step++) if (steps.chance(0.5)) copy.maintain();
    assert.deepEqual(contents(copy), before);
    assert.deepEqual(contents(keydir), before);
    assert.equal(copy.count, keydir.count);
    assert.equal(copy.expiring, keydir.expiring);
    // It goes on as the other does.
    change(keydir, new SimRandom(round), 3_000, 12_000);
    change(copy, new SimRandom(round), 3_000, 12_000);
    while (keydir.maintain());
    while (copy.maintain());
    assert.deepEqual(contents(copy), contents(keydir));
    assert.deepEqual(dueOf(copy), dueOf(keydir));
    keydir = copy;
  }
});

test("I8 without a merge under way a restored keydir has the same figures to the byte", () => {
  const keydir = new Keydir({ seed });
  change(keydir, new SimRandom(3), 20_000, 9_000);
  while (keydir.maintain());
  const copy = restored(keydir);
  assert.deepEqual(figures(copy), figures(keydir));
  // What is garbage then is found and given back by both.
  for (const each of [keydir, copy]) {
    let index = 0;
    each.forEach((entry) => {
      if (index++ % 10 !== 0) each.remove(entry);
    });
    while (each.maintain());
  }
  assert.deepEqual(figures(copy), figures(keydir));
});

test("I8 an empty keydir, and one that has become empty, can be saved and restored", () => {
  const keydir = new Keydir({ seed });
  assert.deepEqual(contents(restored(keydir)), []);
  change(keydir, new SimRandom(3), 5_000, 3_000);
  keydir.forEach((entry) => {
    keydir.remove(entry);
  });
  while (keydir.maintain());
  const copy = restored(keydir);
  assert.equal(copy.count, 0);
  change(copy, new SimRandom(4), 5_000, 3_000);
  change(keydir, new SimRandom(4), 5_000, 3_000);
  assert.deepEqual(contents(copy), contents(keydir));
});

test("I7 keys with equal hashes are restored too", () => {
  const hash = (): number => 0x1234_5678;
  const keydir = new Keydir({ seed, hash });
  for (let number = 0; number < 2_000; number++) {
    const key = keyBytes(keyText(number));
    keydir.put(key, 0, key.length, 1, number, 9, 0, number + 1);
  }
  const { parts, pages } = keydir.save();
  assert.ok(parts.collisions.length > 1);
  const copy = Keydir.restored(parts);
  for (const [index, page] of copy.pages.entries()) page.set(pages[index] ?? []);
  // The hash of the copy is a real one: what is walked and counted needs none.
  assert.equal(copy.keydir.count, 2_000);
  const walk = copy.keydir.first();
  let walked = 0;
  while (walk.next() !== NO_ENTRY) walked++;
  assert.equal(walked, 2_000);
});

test("what a page of the index means belongs to the format version of a checkpoint", () => {
  const keydir = new Keydir({ seed });
  change(keydir, new SimRandom(1), 30_000, 9_000);
  const { parts, pages } = keydir.save();
  let checksum = crc32(Buffer.from(JSON.stringify(parts)));
  for (const page of pages) checksum = crc32(page, checksum);
  // Another checksum: either the bytes mean something else now, then the version is to be
  // raised; or the index only took another way to a state that it could have had before.
  assert.deepEqual([CHECKPOINT_FORMAT_VERSION, checksum.toString(16)], [2, "38fe1a0b"]);
});

function dueOf(keydir: Keydir): string[] {
  const due: string[] = [];
  const visit = (entry: number): void => void due.push(Buffer.from(keydir.keyOf(entry)).toString());
  while (keydir.soonestDue(2 ** 30 * 1000, 1000, visit) && due.length < 100_000);
  return [...new Set(due)].sort();
}
