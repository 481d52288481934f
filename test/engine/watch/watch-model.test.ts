/**
 * Watches over random histories, held against what etcd promises of a watch: ordered,
 * unique, reliable, atomic, resumable, bookmarkable; through rotations, closes, kills,
 * power cuts and compactions.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { KvixError } from "../../../src/base/kvix-error.js";
import type { WatchOptions, WatchStep } from "../../../src/engine/store-watch.js";
import { compacted, onDemand, takingSome } from "../../support/compaction-rig.js";
import { HistoryWriter, keyOf, type Told, versionOf } from "../../support/history-writer.js";
import { simHost } from "../../support/sim-host.js";
import { SimRandom } from "../../support/sim-random.js";
import { bytes, Rig, rejects } from "../../support/store-rig.js";
import { requireTold, Watcher, wordsOf } from "../../support/watcher.js";

/** A read comes back soon, whatever there is to tell. */
const often = { progressIntervalMs: 100 };

/** A range at random, and which keys lie in it. */
function rangeAtRandom(random: SimRandom): {
  readonly range: WatchOptions;
  readonly matches: (key: string) => boolean;
} {
  const key = `k${random.below(12)}`;
  switch (random.below(5)) {
    case 0:
      return { range: { key: bytes(key) }, matches: (each) => each === key };
    case 1:
      return { range: { prefix: bytes("k1") }, matches: (each) => each.startsWith("k1") };
    case 2:
      return { range: { start: bytes(key) }, matches: (each) => each >= key };
    case 3:
      return { range: { end: bytes(key) }, matches: (each) => each < key };
    default:
      return { range: {}, matches: () => true };
  }
}

/** Somebody who watches, and resumes with the version he has after whatever has ended his watch. */
class Follower {
  readonly matches: (key: string) => boolean;
  readonly from: number;
  readonly steps: WatchStep[] = [];
  readonly #range: WatchOptions;
  readonly #random: SimRandom;
  #watcher: Watcher | undefined;

  constructor(rig: Rig, random: SimRandom, from: number) {
    const { range, matches } = rangeAtRandom(random);
    this.#range = range;
    this.matches = matches;
    this.from = from;
    this.#random = random;
    this.resume(rig);
  }

  get version(): number {
    return this.steps.at(-1)?.version ?? this.from;
  }

  /** Begins anew where it was told to be; a commit that was told in part is told anew. */
  resume(rig: Rig): void {
    this.take();
    while (this.steps.at(-1)?.continues === true) this.steps.pop();
    const bytesMax = this.#random.chance(0.5) ? 1 + this.#random.below(300) : undefined;
    const options = { ...this.#range, bytesMax, afterVersion: this.version };
    this.#watcher = new Watcher(rig.store.watch(options));
  }

  /** Takes over what it was told. */
  take(): void {
    this.steps.push(...(this.#watcher?.steps.splice(0) ?? []));
  }

  async stop(): Promise<void> {
    await this.#watcher?.stop();
    this.take();
  }
}

test("V14 D4: whoever resumes with the version he has is told every change once, in order, through closes, kills and power cuts (G-WATCH-11)", async () => {
  let [kills, continued] = [0, 0];
  for (let seed = 1; seed <= 12; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    let rig = await Rig.open({ segmentBytesMax: 1500, flushIntervalMs: 5 });
    const followers = Array.from({ length: 6 }, () => new Follower(rig, random, 0));
    for (let step = 0; step < 100; step += 1) {
      await writer.write(rig);
      const choice = random.below(30);
      if (choice < 5) await rig.settle();
      const one = followers[random.below(followers.length)];
      if (choice === 5 && one !== undefined) {
        await one.stop();
        one.resume(rig);
      }
      if (choice > 26) {
        // All is durable by now, so that the writer knows what is there.
        await rig.sim.clock.advance(20);
        if (choice === 27) rig = await rig.reopened();
        else rig = choice === 28 ? await rig.killed() : await rig.powerCut();
        kills += 1;
        for (const follower of followers) follower.resume(rig);
      }
    }
    await rig.sim.clock.advance(20);
    for (const follower of followers) {
      await follower.stop();
      continued += follower.steps.filter((each) => each.continues).length;
      requireTold(follower.steps, writer.changes, { after: 0, matches: follower.matches });
      const missing = writer.changes
        .flat()
        .filter((told) => versionOf(told) > follower.version && follower.matches(keyOf(told)));
      assert.deepEqual(missing, [], `seed ${seed}`);
    }
    await rig.store.close();
  }
  assert.ok(kills > 30 && continued > 20, `${kills}, ${continued}`);
});

test("V15: the version that a watch was told after a crash is good after the next one, too (G-WATCH-11)", async () => {
  let rig = await Rig.open({ compaction: "manual" });
  await rig.set("before", "1");
  rig = await rig.powerCut();
  const told = rig.store.version;
  const first = rig.store.watch({});
  assert.equal((await first.next()).value?.version, told);
  await first.return();
  // The session begins, and all that it writes is lost.
  await rig.set("lost", "1", { durability: "buffered" });
  const lost = rig.store.version;
  rig = await rig.powerCut();
  assert.equal(await rig.get("lost"), undefined);
  for (const isSessionBegun of [false, true]) {
    if (isSessionBegun) await rig.set("after", "1");
    const resumed = rig.store.watch({ afterVersion: told });
    assert.equal((await resumed.next()).value?.version, told);
    const next = isSessionBegun ? await resumed.next() : undefined;
    assert.deepEqual(
      next?.value?.events.map(({ version }) => version),
      isSessionBegun ? [rig.store.version] : undefined,
    );
    await resumed.return();
    for (const afterVersion of [told - 1, lost]) {
      assert.throws(() => rig.store.watch({ afterVersion }), /HISTORY_LOST/);
    }
  }
  // Both ranges stand in the manifest, which says so after a clean close, too.
  rig = await rig.reopened();
  await rig.store.watch({ afterVersion: told }).return?.();
  for (const afterVersion of [told - 1, lost]) {
    assert.throws(() => rig.store.watch({ afterVersion }), /HISTORY_LOST/);
  }
  await rig.store.close();
});

test("V14 D4: what a watch has told is there after a power cut, from the first change on (G-WATCH-2)", async () => {
  let lost = 0;
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    const rig = await Rig.open({ segmentBytesMax: 1500, flushIntervalMs: 1000 });
    const watcher = new Watcher(rig.store.watch({ afterVersion: 0 }));
    for (let count = 1 + random.below(30); count > 0; count -= 1) {
      await writer.write(rig);
      if (random.chance(0.4)) await rig.settle();
    }
    await rig.settle();
    const { told } = watcher;
    const next = await rig.powerCut();
    const after = new Watcher(next.store.watch({ afterVersion: 0 }));
    await next.settle();
    assert.deepEqual(after.told.slice(0, told.length), told);
    const resumed = new Watcher(next.store.watch({ afterVersion: watcher.version }));
    await next.settle();
    assert.deepEqual(resumed.told, after.told.slice(told.length));
    if (after.told.length < writer.changes.flat().length) lost += 1;
    await next.store.close();
  }
  assert.ok(lost > 3, "some were lost, and never told");
});

test("V15: a watch may begin after every version of a history and is told the rest, but for versions that a crash has lost (G-WATCH-12)", async () => {
  for (let seed = 1; seed <= 4; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    let rig = await Rig.open({ segmentBytesMax: 1000, flushIntervalMs: 5 });
    const lost: { first: number; last: number }[] = [];
    for (let step = 0; step < 45; step += 1) {
      await writer.write(rig);
      if (step % 15 !== 14) continue;
      await rig.sim.clock.advance(20);
      const first = rig.store.version + 1;
      rig = await rig.killed();
      lost.push({ first, last: rig.store.version });
    }
    await writer.write(rig);
    await rig.sim.clock.advance(20);
    const versions = new Set(writer.changes.flat().map(versionOf));
    for (const { first, last } of lost) {
      for (const each of [first, first + 1, last - 1, last, last + 1]) versions.add(each);
    }
    versions.add(0);
    for (const afterVersion of versions) {
      const open = async () => rig.store.watch({ afterVersion });
      if (lost.some(({ first, last }) => afterVersion >= first && afterVersion < last)) {
        const error = await rejects(open(), "HISTORY_LOST", "none");
        assert.equal(error.resume?.historyFloor, 0);
        continue;
      }
      const watcher = new Watcher(await open());
      await rig.settle();
      await watcher.stop();
      requireTold(watcher.steps, writer.changes, { after: afterVersion, matches: () => true });
      assert.deepEqual(watcher.told, writer.after(afterVersion).flat());
    }
    await rig.store.close();
  }
});

test("M10 V7: beside compactions a watch is told every change, or that history is gone from where it is (G-WATCH-13)", async () => {
  let [removed, lost, followed] = [0, 0, 0];
  for (let seed = 1; seed <= 4; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    const options = { ...onDemand, segmentBytesMax: 1000, flushIntervalMs: 1 };
    const rig = await Rig.open(options, simHost({ seed }), undefined, {
      chooseVictims: takingSome(random),
    });
    const { logReaders } = rig.store;
    interface Slow {
      readonly watch: AsyncIterator<WatchStep>;
      readonly from: number;
      readonly matches: (key: string) => boolean;
      readonly steps: WatchStep[];
    }
    const slow: Slow[] = [];
    // Who is quick keeps the end of the log in memory, also for those who are slow.
    const quick = seed % 2 === 0 ? new Watcher(rig.store.watch({ afterVersion: 0 })) : undefined;
    let run: Promise<unknown> = Promise.resolve();
    for (let step = 0; step < 200; step += 1) {
      const choice = random.below(100);
      const one = slow[random.below(Math.max(slow.length, 1))];
      if (choice < 60) await writer.write(rig);
      else if (choice < 70) {
        await rig.store.hintsWritten();
        run = Promise.all([run, compacted(rig)]);
        await rig.settle();
      } else if (choice < 73) await rig.sim.clock.advance(random.below(400_000));
      else if (choice < 90 && slow.length < 5) {
        const from = Math.min(logReaders.floor + random.below(5), rig.store.version);
        const { range, matches } = rangeAtRandom(random);
        const bytesMax = random.chance(0.5) ? 200 : undefined;
        const watch = rig.store.watch({ ...range, ...often, bytesMax, afterVersion: from });
        slow.push({ watch, from, matches, steps: [] });
      } else if (one !== undefined && choice > 84) {
        const ended = one.watch.next().then(
          ({ value }) => void one.steps.push(value as WatchStep),
          (error: { reason: string; resume: { afterVersion: number; historyFloor: number } }) => {
            assert.equal(error.reason, "HISTORY_LOST", String(error));
            const { afterVersion, historyFloor } = error.resume;
            assert.equal(afterVersion, one.steps.at(-1)?.version ?? one.from);
            assert.equal(historyFloor, logReaders.floor);
            assert.ok(afterVersion < historyFloor, "it is gone");
            lost += 1;
            return true;
          },
        );
        await rig.sim.clock.advance(101);
        const isOver = await ended;
        if (isOver !== true && random.chance(0.9)) continue;
        await one.watch.return?.();
        slow.splice(slow.indexOf(one), 1);
        requireTold(one.steps, writer.changes, { after: one.from, matches: one.matches });
        followed += one.steps.length;
      }
    }
    await rig.sim.clock.advance(20_000);
    if (quick !== undefined) {
      assert.equal(quick.error, undefined, "who is at the end loses nothing");
      requireTold(quick.steps, writer.changes, { after: 0, matches: () => true });
      assert.equal(quick.version, rig.store.version);
      await quick.stop();
    }
    for (const one of slow) {
      await one.watch.return?.();
      requireTold(one.steps, writer.changes, { after: one.from, matches: one.matches });
    }
    for (let turn = 0; turn < 60; turn += 1) await rig.sim.clock.advance(1000);
    await run;
    const { pins, compaction } = rig.store.stats();
    assert.deepEqual([pins, compaction.pinnedBytes], [0, 0]);
    removed += compaction.segmentsRemoved;
    await rig.store.close();
  }
  assert.ok(removed > 25 && lost > 2 && followed > 30, `${removed}, ${lost}, ${followed}`);
});

/** What stands after some changes, by key. */
function standing(changes: readonly (readonly Told[])[], version: number): Map<string, Told> {
  const records = new Map<string, Told>();
  for (const told of changes.flat()) {
    if (versionOf(told) > version) break;
    if (told.split(" ")[1] === "set") records.set(keyOf(told), told);
    else records.delete(keyOf(told));
  }
  return records;
}

test("the current state and the changes after it have no gap and no double, beside writes, expiry and compactions (G-WATCH-14)", async () => {
  let told = 0;
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    const options = { ...onDemand, segmentBytesMax: 1000, flushIntervalMs: 1 };
    const rig = await Rig.open(options, simHost({ seed }), undefined, {
      chooseVictims: takingSome(random),
    });
    for (let count = 0; count < 40; count += 1) await writer.write(rig);
    const watched: { readonly watch: AsyncIterator<WatchStep>; readonly steps: WatchStep[] }[] = [];
    let run: Promise<unknown> = Promise.resolve();
    for (let step = 0; step < 120; step += 1) {
      const choice = random.below(10);
      if (choice < 4) await writer.write(rig);
      else if (choice < 5) {
        await rig.store.hintsWritten();
        run = Promise.all([run, compacted(rig)]);
        await rig.settle();
      } else if (choice < 6 && watched.length < 8) {
        const bytesMax = random.chance(0.7) ? 1 + random.below(200) : undefined;
        watched.push({
          watch: rig.store.watch({ includeCurrent: true, bytesMax, ...often }),
          steps: [],
        });
      } else {
        const one = watched[random.below(Math.max(watched.length, 1))];
        if (one === undefined) continue;
        const next = one.watch.next().then(
          ({ value }) => void one.steps.push(value as WatchStep),
          // Nothing is kept for watchers here: who is slow may lose the rest.
          ({ reason }: KvixError) => {
            assert.equal(reason, "HISTORY_LOST");
            watched.splice(watched.indexOf(one), 1);
          },
        );
        await rig.sim.clock.advance(101);
        await next;
      }
    }
    for (const { watch, steps } of watched) {
      const rest = new Watcher(watch);
      await rig.sim.clock.advance(101);
      await rest.stop();
      steps.push(...rest.steps);
      const first = steps.findIndex(({ isCurrent }) => !isCurrent);
      const current = steps.slice(0, first).flatMap(({ events }) => events.map(wordsOf));
      const { version, events } = steps[first] as WatchStep;
      assert.deepEqual(events, [], "the first without it has begun the changes");
      assert.ok(steps.slice(0, first).every((each) => each.version === 0));
      const wanted = [...standing(writer.changes, version)].sort(([one], [other]) =>
        one < other ? -1 : 1,
      );
      const bare = (each: Told) =>
        each
          .replace(/ \(too-large\)$/, "")
          .split(" ")
          .slice(0, 3);
      assert.deepEqual(
        current.map(bare),
        wanted.map(([, each]) => bare(each)),
      );
      const began = { after: version, matches: () => true };
      requireTold(steps.slice(first), writer.changes, began);
      told += current.length;
    }
    for (let turn = 0; turn < 60; turn += 1) await rig.sim.clock.advance(1000);
    await run;
    await rig.store.close();
  }
  assert.ok(told > 100, `${told}`);
});
