/**
 * Snapshots of a whole store against copies of a map: writes, batches, deletes,
 * expiry and its sweep, rotation, and several snapshots that are walked in pieces
 * and whose records are read.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Snapshot } from "../../src/engine/snapshots/snapshot.js";
import type { SnapshotCursor } from "../../src/engine/snapshots/snapshot-cursor.js";
import type { Mutation } from "../../src/engine/store.js";
import { compacted, onDemand, takingSome } from "../support/compaction-rig.js";
import { simHost } from "../support/sim-host.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text } from "../support/store-rig.js";

interface Kept {
  readonly snapshot: Snapshot;
  readonly wanted: readonly (readonly [string, string])[];
  readonly cursor: SnapshotCursor;
  readonly found: [string, string][];
}

const buffered = { durability: "buffered" } as const;

class World {
  readonly map = new Map<string, { value: string; expiresAtMs: number }>();
  readonly open: Kept[] = [];
  readonly rig: Rig;
  readonly random: SimRandom;
  #values = 0;

  constructor(rig: Rig, random: SimRandom) {
    this.rig = rig;
    this.random = random;
  }

  key(): string {
    return `key ${this.random.below(40)}`;
  }

  /** Different each time; some are read in the pool. */
  value(): string {
    this.#values += 1;
    const length = this.random.chance(0.02) ? 70_000 : this.random.below(120);
    return `${this.#values} ${"v".repeat(length)}`;
  }

  async set(): Promise<void> {
    const [key, value] = [this.key(), this.value()];
    const expiry = this.random.chance(0.3)
      ? ({ kind: "ttl", ttlMs: 1 + this.random.below(800) } as const)
      : ({ kind: "never" } as const);
    const { expiresAtMs } = await this.rig.set(key, value, { ...buffered, expiry });
    this.map.set(key, { value, expiresAtMs });
  }

  async delete(): Promise<void> {
    const key = this.key();
    this.map.delete(key);
    await this.rig.delete(key, buffered);
  }

  async batch(): Promise<void> {
    const keys = [...new Set([this.key(), this.key(), this.key(), this.key()])];
    const mutations = keys.map((key): Mutation => {
      if (this.random.chance(0.3)) {
        this.map.delete(key);
        return { kind: "delete", key: bytes(key) };
      }
      const value = this.value();
      this.map.set(key, { value, expiresAtMs: 0 });
      return { kind: "set", key: bytes(key), value: bytes(value) };
    });
    await this.rig.store.commit(mutations, buffered);
  }

  begin(): void {
    const nowMs = this.rig.sim.clock.wallMs();
    const isReverse = this.random.chance(0.5);
    const wanted = [...this.map]
      .filter(([, { expiresAtMs }]) => expiresAtMs === 0 || nowMs < expiresAtMs)
      .map(([key, { value }]) => [key, value] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1) * (isReverse ? -1 : 1));
    const snapshot = this.rig.store.snapshots.open();
    assert.equal(snapshot.version, this.rig.store.version);
    this.open.push({ snapshot, wanted, cursor: snapshot.cursor({}, isReverse), found: [] });
  }

  async step({ snapshot, cursor, found, wanted }: Kept): Promise<void> {
    const entry = cursor.next();
    if (entry === undefined) {
      if (cursor.hasEnded) assert.deepEqual(found, wanted);
      return;
    }
    const record = await snapshot.read(entry);
    assert.equal(record.version, entry.version);
    assert.equal(record.expiresAtMs, entry.expiresAtMs);
    assert.equal(record.payload.length, entry.recordBytes);
    found.push([text(entry.key), text(record.value)]);
    assert.deepEqual(found.at(-1), wanted[found.length - 1]);
  }

  async end(kept: Kept): Promise<void> {
    while (!kept.cursor.hasEnded) await this.step(kept);
    for (const [key, value] of kept.wanted.slice(0, 5)) {
      const entry = kept.snapshot.get(bytes(key));
      assert.ok(entry);
      assert.equal(text((await kept.snapshot.read(entry)).value), value);
    }
    kept.snapshot.close();
    this.open.splice(this.open.indexOf(kept), 1);
  }
}

test("I9 M10: a snapshot of a store reads what was there when it was opened, record by record", async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const rig = await Rig.open({ segmentBytesMax: 4000, cacheBytesMax: 0 });
    const random = new SimRandom(seed);
    const world = new World(rig, random);
    for (let step = 0; step < 400; step += 1) {
      const choice = random.below(100);
      const kept = world.open[random.below(Math.max(world.open.length, 1))];
      if (choice < 30) await world.set();
      else if (choice < 40) await world.delete();
      else if (choice < 50) await world.batch();
      else if (choice < 55) await rig.sim.clock.advance(random.below(300));
      else if (choice < 60) {
        if (world.open.length < 6) world.begin();
      } else if (kept === undefined) continue;
      else if (choice < 97) await world.step(kept);
      else await world.end(kept);
    }
    assert.ok(rig.store.stats().segments > 3);
    for (const kept of [...world.open]) await world.end(kept);
    await rig.store.hintsWritten();
    assert.equal(rig.store.stats().pins, 0);
    await rig.store.close();
  }
});

test("M10 V7 I9: compactions of random victims, outputs among them, change nothing that open snapshots read", async () => {
  let removed = 0;
  for (let seed = 1; seed <= 6; seed += 1) {
    const random = new SimRandom(seed);
    const sim = simHost({ seed });
    const rig = await Rig.open(
      { ...onDemand, segmentBytesMax: 1500, cacheBytesMax: 0 },
      sim,
      undefined,
      {
        chooseVictims: takingSome(random),
      },
    );
    const world = new World(rig, random);
    let run: Promise<unknown> = Promise.resolve();
    for (let step = 0; step < 400; step += 1) {
      const choice = random.below(100);
      const kept = world.open[random.below(Math.max(world.open.length, 1))];
      if (choice < 30) await world.set();
      else if (choice < 40) await world.delete();
      else if (choice < 50) await world.batch();
      else if (choice < 55) await sim.clock.advance(random.below(300));
      else if (choice < 62) {
        // One run waits for its snapshots a second at most at each step, by a clock that stands still.
        await rig.store.hintsWritten();
        run = Promise.all([run, compacted(rig)]);
        if (random.chance(0.5)) await rig.settle();
      } else if (choice < 67) {
        if (world.open.length < 4) world.begin();
      } else if (kept === undefined) continue;
      else if (choice < 95) await world.step(kept);
      else await world.end(kept);
    }
    for (const kept of [...world.open]) await world.end(kept);
    for (let turn = 0; turn < 60; turn += 1) await sim.clock.advance(1000);
    await run;
    await rig.store.hintsWritten();
    const { pins, compaction } = rig.store.stats();
    assert.deepEqual([pins, compaction.pinnedBytes], [0, 0]);
    removed += compaction.segmentsRemoved;
    await rig.store.close();
  }
  assert.ok(removed > 100, `${removed} were removed`);
});

test("B2 V14: a snapshot sees all of a batch or nothing of it, and nothing that waits for its sync", async () => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  await rig.set("a", "1");
  await rig.set("b", "1");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const mutations = ["a", "b"].map((key) => {
    return { kind: "set", key: bytes(key), value: bytes("2") } as const;
  });
  const batch = rig.store.commit(mutations);
  await rig.settle();
  const before = rig.store.snapshots.open();
  gate.open();
  await batch;
  const after = rig.store.snapshots.open();
  const seen = async (snapshot: Snapshot): Promise<string[]> => {
    const values: string[] = [];
    const cursor = snapshot.cursor();
    for (let entry = cursor.next(); entry !== undefined; entry = cursor.next()) {
      values.push(text((await snapshot.read(entry)).value));
    }
    return values;
  };
  assert.deepEqual(await seen(before), ["1", "1"]);
  assert.deepEqual(await seen(after), ["2", "2"]);
  await rig.store.close();
});

test("T1 I9: expiry is judged at the time of the snapshot, though the record is swept meanwhile", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1", { expiry: { kind: "ttl", ttlMs: 500 } });
  await rig.set("b", "1", { expiry: { kind: "ttl", ttlMs: 1000 } });
  const both = rig.store.snapshots.open();
  await rig.sim.clock.advance(700);
  const one = rig.store.snapshots.open();
  await rig.sim.clock.advance(2000);
  assert.equal(rig.store.stats().keys, 0, "swept");
  assert.ok(both.get(bytes("a")) && both.get(bytes("b")) && one.get(bytes("b")));
  assert.equal(one.get(bytes("a")), undefined);
  assert.equal(await rig.get("b"), undefined);
  await rig.store.close();
});

test("a close ends the snapshots that are open, and says so to their readers", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const snapshot = rig.store.snapshots.open();
  const entry = snapshot.get(bytes("a"));
  assert.ok(entry);
  await rig.store.close();
  await rejects((async () => snapshot.read(entry))(), "STORE_CLOSING");
  await rejects((async () => rig.store.snapshots.open())(), "STORE_CLOSING");
  snapshot.close();
});
