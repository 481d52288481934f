/** The hash table by itself: equal hashes, and partitions that come and go with the entries. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CollisionList } from "../../../src/engine/keydir/collision-list.js";
import { NO_ENTRY } from "../../../src/engine/keydir/entry-table.js";
import { HashTable } from "../../../src/engine/keydir/hash-table.js";
import { KeyTable } from "../../../src/engine/keydir/key-table.js";
import { StepMeter } from "../../../src/engine/keydir/step-meter.js";

/** A hash table with what it needs, and keys that are numbers. */
class Fixture {
  readonly keys = new KeyTable();
  readonly meter = new StepMeter();
  readonly collisions = new CollisionList(this.keys, this.meter);
  readonly table = new HashTable(this.keys, this.collisions, this.meter);

  find(hash: number, number: number): number {
    return this.table.find(hash, keyOf(number), 0, 4);
  }

  insert(hash: number, number: number): number {
    assert.equal(this.find(hash, number), NO_ENTRY);
    const entry = this.keys.entries.allocate(keyOf(number), 0, 4);
    this.meter.begin();
    this.table.insert(hash, entry, keyOf(number), 0, 4);
    return entry;
  }

  remove(hash: number, entry: number, number: number): void {
    this.meter.begin();
    this.table.remove(hash, entry, keyOf(number), 0, 4);
    this.keys.entries.retire(entry);
  }

  step(): boolean {
    this.meter.begin();
    return this.table.step();
  }
}

function keyOf(number: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(number);
  return key;
}

/** A hash that is spread evenly, and negative for half of the numbers. */
function spread(number: number): number {
  return Math.imul(number ^ (number >>> 9), 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b);
}

test("of one hash sixteen entries stand in the table, the others in the list (I7)", () => {
  const fixture = new Fixture();
  const entries = Array.from({ length: 50 }, (_, i) => fixture.insert(0x12345678, i));
  fixture.insert(0x12345679, 50);
  assert.equal(fixture.collisions.count, 50 - 16);
  for (const [i, entry] of entries.entries()) assert.equal(fixture.find(0x12345678, i), entry);
  for (const [i, entry] of entries.entries()) fixture.remove(0x12345678, entry, i);
  assert.equal(fixture.collisions.count, 0);
  assert.equal(fixture.find(0x12345678, 3), NO_ENTRY);
  assert.notEqual(fixture.find(0x12345679, 50), NO_ENTRY);
});

test("entries whose hashes fall into one partition fill it and spill into the list (I7)", () => {
  const fixture = new Fixture();
  // The low 20 bits are equal: no split ever parts these.
  for (let i = 0; i < 3_000; i++) {
    fixture.insert(i << 20, i);
    fixture.step();
  }
  assert.ok(fixture.collisions.count > 100, `${fixture.collisions.count} in the list`);
  for (let i = 0; i < 3_000; i++) assert.notEqual(fixture.find(i << 20, i), NO_ENTRY);
  assert.ok(fixture.meter.worstBytes <= 65_536);
});

test("the table grows and shrinks by steps of at most 64 KiB and gives its memory back", () => {
  const fixture = new Fixture();
  const empty = fixture.table.bytes;
  const numbers = 150_000;
  const entries: number[] = [];
  for (let i = 0; i < numbers; i++) {
    entries.push(fixture.insert(spread(i), i));
    fixture.step();
  }
  assert.equal(fixture.collisions.count, 0);
  const bytesEach = (fixture.table.bytes - empty) / numbers;
  assert.ok(bytesEach < 11.5, `${bytesEach} bytes for each entry`);
  for (let i = 0; i < numbers; i++) {
    fixture.remove(spread(i), entries[i]!, i);
    assert.equal(fixture.find(spread(i), i), NO_ENTRY);
    if (i % 1_000 !== 0) continue;
    while (fixture.step());
    for (let j = i + 1; j < numbers; j += 1_009)
      assert.equal(fixture.find(spread(j), j), entries[j]);
  }
  while (fixture.step());
  fixture.table.trim();
  assert.equal(fixture.table.bytes, empty);
  // A partition of seventeen blocks, read and written, is what a split touches at least.
  assert.ok(fixture.meter.worstBytes >= 34 * 1024, "the steps are counted");
  assert.ok(fixture.meter.worstBytes <= 65_536);
});
