/** Cells: garbage is bounded, live entries survive the move, pages come back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CellEvacuation } from "../../../src/engine/keydir/cell-evacuation.js";
import {
  CELL_PAGE_SHIFT,
  CellPages,
  cellWordsOf,
  LIVE_WORDS,
} from "../../../src/engine/keydir/cell-pages.js";
import { EntryTable } from "../../../src/engine/keydir/entry-table.js";
import { Keydir, NO_ENTRY } from "../../../src/engine/keydir/keydir.js";
import { StepMeter } from "../../../src/engine/keydir/step-meter.js";

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
    const cursor = keydir.first();
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
    // A walk begun before the pages were emptied visits what stayed, and nothing twice.
    const walked = new Set<number>();
    for (let entry = cursor.next(); entry !== NO_ENTRY; entry = cursor.next()) {
      assert.ok(!walked.has(keydir.offsetOf(entry)));
      walked.add(keydir.offsetOf(entry));
      keydir.maintain();
    }
    for (let i = 0; i < keys; i += 4) assert.ok(walked.has(i), `key ${i} is walked over`);
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

test("forEach shows every entry once, though its visitor's removals leave pages half empty", () => {
  const keydir = new Keydir({ seed: new Uint8Array(16).fill(5) });
  const keys = 40_000;
  for (let i = 0; i < keys; i++) {
    const key = keyOf(i, 30 + (i % 100));
    keydir.put(key, 0, key.length, 0, i, 1, 0, 1);
  }
  const shown = new Set<number>();
  keydir.forEach((entry) => {
    const number = keydir.offsetOf(entry);
    assert.ok(!shown.has(number), `entry ${number} is shown twice`);
    shown.add(number);
    if (number % 4 !== 0) keydir.remove(entry);
  });
  assert.equal(shown.size, keys);
  assert.equal(keydir.count, keys / 4);
});

test("a cell is large enough, never by more than an eighth, and its size is its own size", () => {
  for (let bytes = 25; bytes <= 70_000; bytes += bytes < 5_000 ? 1 : 97) {
    const cellBytes = cellWordsOf(bytes) * 4;
    assert.ok(cellBytes >= bytes && cellBytes - bytes < Math.max(8, bytes / 8), `${bytes}`);
    assert.equal(cellWordsOf(cellBytes) * 4, cellBytes);
  }
});

test("a page of one large cell goes back with it", () => {
  const cells = new CellPages();
  const before = cells.bytes;
  const cell = cells.allocate(20_000);
  assert.ok(cells.bytes - before >= 20_000);
  cells.retire(cell);
  cells.free(cell);
  assert.equal(cells.bytes, before);
});

test("evacuation moves what lives in its victim, and leaves the entry that it is to keep", () => {
  const entries = new EntryTable();
  const all = Array.from({ length: 2_000 }, (_, i) => entries.allocate(keyOf(i, 16), 0, 16));
  const page = (entry: number) => entry >>> CELL_PAGE_SHIFT;
  // A tenth of the first page stays; elsewhere one in two leaves, so there is room.
  const stays = (entry: number, i: number) => i % (page(entry) === page(all[0]!) ? 10 : 2) === 0;
  for (const [i, entry] of all.entries()) {
    if (stays(entry, i)) continue;
    entries.retire(entry);
    entries.free(entry);
  }
  const moved: number[] = [];
  const meter = new StepMeter();
  const evacuation = new CellEvacuation(entries, meter, (entry) => {
    assert.equal(page(entry), entries.cells.victim());
    const to = entries.relocate(entry);
    assert.notEqual(page(to), page(entry));
    moved.push(entry);
  });
  const kept = all[0]!;
  for (let i = 0; i < 100; i++) {
    meter.begin();
    evacuation.step(kept);
  }
  assert.ok(entries.isLive(kept));
  const others = all.filter((entry, i) => page(entry) === page(kept) && stays(entry, i));
  assert.ok(others.length > 10);
  const isMoved = (entry: number) => entry === kept || moved.includes(entry);
  assert.ok(page(moved[0]!) !== page(kept) || others.every(isMoved));
  for (let i = 0; i < 100; i++) {
    meter.begin();
    evacuation.step(NO_ENTRY);
  }
  assert.ok(
    others.every((entry) => !entries.isLive(entry)),
    "later it moves too",
  );
});

test("cells in use are distinct, no victim takes new ones, and bytesFor bounds what they add", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("allocate"), at: fc.constantFrom(25, 40, 300, 9_000, 20_000) }),
    fc.record({ kind: fc.constantFrom("retire", "retire", "free", "victim"), at: fc.nat(5_000) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 600, size: "max" }), (operations) => {
      const cells = new CellPages();
      const live = new Map<number, number>();
      const retired: number[] = [];
      let victim = -1;
      for (const { kind, at } of operations) {
        // Once it is empty and gone, its number may be another page's.
        if (victim >= 0 && cells.pages[victim]!.length === 0) victim = -1;
        if (kind === "allocate") {
          for (let i = 0; i < (at < 100 ? 50 : 5); i++) {
            const bound = cells.bytes + cells.bytesFor(at, 1);
            const cell = cells.allocate(at);
            assert.ok(cells.bytes <= bound, `${cells.bytes} > ${bound}`);
            assert.ok(!live.has(cell) && !retired.includes(cell));
            assert.ok(victim < 0 || cell >>> CELL_PAGE_SHIFT !== victim);
            live.set(cell, at);
          }
        } else if (kind === "retire") {
          // A stretch of them, so that pages come to be half empty.
          const stretch = [...live.keys()].slice(at % (live.size + 1)).slice(0, 40);
          for (const cell of stretch) {
            live.delete(cell);
            cells.retire(cell);
            retired.push(cell);
          }
        } else if (kind === "free") {
          for (const cell of retired.splice(at % (retired.length + 1))) cells.free(cell);
        } else {
          const next = cells.victim();
          const lives = [...live.keys()].filter((cell) => cell >>> CELL_PAGE_SHIFT === next);
          if (next >= 0 && next !== victim) {
            const words = cells.pages[next]!.length - LIVE_WORDS;
            const capacity = words / cells.cellWords[next]!;
            assert.ok(lives.length > 0 && lives.length * 2 < capacity);
          }
          victim = next;
          if (next < 0) continue;
          for (const cell of lives) {
            live.delete(cell);
            cells.retire(cell);
            retired.push(cell);
          }
        }
        assert.equal(cells.liveCount, live.size);
        assert.equal(cells.count, live.size + retired.length);
        for (const cell of live.keys()) assert.ok(cells.isLive(cell));
      }
      for (const cell of live.keys()) cells.retire(cell);
      for (const cell of [...live.keys(), ...retired]) cells.free(cell);
      while (cells.victim() >= 0);
      cells.trim();
      assert.equal(cells.bytes, 0);
    }),
  );
});

test("keys that come and go without upkeep leave a bounded amount of garbage (V11)", () => {
  const keydir = new Keydir({ seed: new Uint8Array(16).fill(4) });
  const keys = 5_000;
  // What put() answers is the entry, also when it moves others out of a page.
  const put = (i: number) => {
    const entry = keydir.put(keyOf(i, 1_000), 0, 1_000, 0, i, 1, 0, 1);
    assert.equal(keydir.offsetOf(entry), i);
    assert.equal(keydir.find(keyOf(i, 1_000)), entry);
  };
  for (let i = 0; i < keys; i++) put(i);
  for (let i = 0; i < 40_000; i++) {
    // One in eight stays for ever, so that no page empties by itself.
    if (i % 8 !== 0) keydir.remove(keydir.find(keyOf(i, 1_000)));
    put(keys + i);
  }
  const liveBytes = keydir.count * 1_000;
  assert.ok(keydir.bytes < 2.6 * liveBytes, `${keydir.bytes} for ${liveBytes}`);
});
