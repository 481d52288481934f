/**
 * Scans against copies of a map: random ranges, directions and limits, under writes,
 * expiry with its sweep, and compactions; several under way at once, part by part.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Scan, ScanOptions } from "../../src/engine/store-ranges.js";
import { compacted, onDemand, takingSome } from "../support/compaction-rig.js";
import { simHost } from "../support/sim-host.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Rig, text } from "../support/store-rig.js";

interface Kept {
  readonly scan: Scan;
  readonly version: number;
  readonly wanted: readonly (readonly [string, string])[];
  readonly isWithValues: boolean;
  readonly found: string[];
}

const buffered = { durability: "buffered" } as const;
const KEYS = 300;

class World {
  readonly map = new Map<string, { value: string; expiresAtMs: number }>();
  readonly open: Kept[] = [];
  readonly rig: Rig;
  readonly random: SimRandom;
  parts = 0;
  finished = 0;
  #values = 0;

  constructor(rig: Rig, random: SimRandom) {
    this.rig = rig;
    this.random = random;
  }

  key(): string {
    return `key ${this.random.below(KEYS)}`;
  }

  async set(): Promise<void> {
    const key = this.key();
    this.#values += 1;
    // Some make a part of their own, some are read in the pool.
    const length = this.random.chance(0.05) ? 60_000 + this.random.below(20_000) : 400;
    const value = `${this.#values} ${"v".repeat(this.random.below(length))}`;
    const expiry = this.random.chance(0.3)
      ? ({ kind: "ttl", ttlMs: 1 + this.random.below(3000) } as const)
      : ({ kind: "never" } as const);
    const { expiresAtMs } = await this.rig.set(key, value, { ...buffered, expiry });
    this.map.set(key, { value, expiresAtMs });
  }

  async delete(): Promise<void> {
    const key = this.key();
    this.map.delete(key);
    await this.rig.delete(key, buffered);
  }

  /** Begins a scan: its first part is asked for at once, so what is wanted is known. */
  async begin(): Promise<void> {
    const { random, rig } = this;
    const nowMs = rig.sim.clock.wallMs();
    const [one, other] = [this.key(), this.key()].sort() as [string, string];
    const range = random.chance(0.3)
      ? { prefix: bytes(`key ${random.below(10)}`) }
      : random.chance(0.5)
        ? { start: bytes(one), end: bytes(other) }
        : {};
    const reverse = random.chance(0.5);
    const keysOnly = random.chance(0.3);
    const limit = random.chance(0.3) ? 1 + random.below(100) : undefined;
    const options: ScanOptions = { ...range, reverse, keysOnly, limit, bytesMax: 100_000 };
    const isIn = (key: string): boolean =>
      (range.prefix === undefined || key.startsWith(text(range.prefix))) &&
      (range.start === undefined || (key >= one && key < other));
    const wanted = [...this.map]
      .filter(([, { expiresAtMs }]) => expiresAtMs === 0 || nowMs < expiresAtMs)
      .map(([key, { value }]) => [key, value] as const)
      .filter(([key]) => isIn(key))
      .sort(([left], [right]) => (left < right ? -1 : 1) * (reverse ? -1 : 1))
      .slice(0, limit);
    const { version } = rig.store;
    const scan = rig.store.scan(options);
    const kept = { scan, version, wanted, isWithValues: !keysOnly, found: [] };
    this.open.push(kept);
    await this.step(kept);
  }

  async step(kept: Kept): Promise<boolean> {
    const { scan, version, wanted, isWithValues, found } = kept;
    const next = scan.next();
    await this.rig.settle();
    const { done, value: part } = await next;
    if (done === true) {
      assert.deepEqual(
        found,
        wanted.map(([key]) => key),
      );
      this.open.splice(this.open.indexOf(kept), 1);
      this.finished += 1;
      return false;
    }
    this.parts += 1;
    assert.equal(part.version, version);
    assert.ok(part.records.length > 0);
    for (const { key, record, recordBytes } of part.records) {
      const [name, value] = wanted[found.length] ?? [];
      assert.equal(text(key), name);
      found.push(text(key));
      if (typeof record === "string") assert.equal(isWithValues, false, record);
      else assert.equal(text(record.value), value);
      if (typeof record !== "string") assert.equal(record.payload.length, recordBytes);
    }
    return true;
  }

  async finish(): Promise<void> {
    for (const kept of [...this.open]) while (await this.step(kept));
  }
}

test("a scan shows one point in time from its first record to its last, whatever is written, expires or is compacted (G-SCAN-1, G-SCAN-2, I9, M10, V7)", async () => {
  let removed = 0;
  let parts = 0;
  let finished = 0;
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = new SimRandom(seed);
    const sim = simHost({ seed });
    const rig = await Rig.open(
      { ...onDemand, segmentBytesMax: 30_000, cacheBytesMax: 0 },
      sim,
      undefined,
      { chooseVictims: takingSome(random) },
    );
    const world = new World(rig, random);
    for (let count = 0; count < KEYS; count += 1) await world.set();
    let run: Promise<unknown> = Promise.resolve();
    for (let step = 0; step < 500; step += 1) {
      const choice = random.below(100);
      const kept = world.open[random.below(Math.max(world.open.length, 1))];
      if (choice < 45) await world.set();
      else if (choice < 55) await world.delete();
      else if (choice < 60) await sim.clock.advance(random.below(300));
      else if (choice < 66) {
        await rig.store.hintsWritten();
        run = Promise.all([run, compacted(rig)]);
        if (random.chance(0.5)) await rig.settle();
      } else if (choice < 74) {
        if (world.open.length < 5) await world.begin();
      } else if (kept !== undefined) await world.step(kept);
    }
    await world.finish();
    for (let turn = 0; turn < 60; turn += 1) await sim.clock.advance(1000);
    await run;
    await rig.store.hintsWritten();
    const { pins, compaction } = rig.store.stats();
    assert.deepEqual([pins, compaction.pinnedBytes, rig.store.snapshots.count], [0, 0, 0]);
    removed += compaction.segmentsRemoved;
    parts += world.parts;
    finished += world.finished;
    await rig.store.close();
  }
  assert.ok(removed > 50, `${removed} segments were removed`);
  assert.ok(parts > 2 * finished, `${parts} parts of ${finished} scans`);
});
