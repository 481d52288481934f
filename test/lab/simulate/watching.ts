/**
 * Somebody who watches a store over all of its lives, and holds what he is told against
 * what was written:
 *
 *     ordered     versions rise
 *     unique      no version twice, also where one watch goes on behind another
 *     reliable    all that was written to his keys is told, and nothing else (log-truth.ts)
 *     durable     before it is told
 *     atomic      he never stands in the midst of a commit
 *     resumable   behind any version that he has reached, in any life, unless a compaction
 *                 has taken the history there: then he is refused, and only then
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { WatchEvent, WatchOptions, WatchStep } from "../../../src/engine/store-watch.js";
import { newRecordFields, parseRecord } from "../../../src/format/record.js";
import { bytesOf, textOf } from "./call.js";
import type { Life } from "./life.js";
import type { Found } from "./look-judge.js";
import { unreadableOf } from "./readers.js";

/** How often one waits for somebody who is behind. */
const waitsMax = 400;
const waitMs = 50;

const fields = newRecordFields();

/** Which keys. */
interface Range {
  readonly options: Pick<WatchOptions, "key" | "prefix" | "start" | "end">;
  readonly covers: (key: string) => boolean;
}

/** One who watches. */
export class Watching {
  readonly #range: Range;
  /** He may go on behind it. */
  #version = 0;
  /** He has heard of no commit that began before. */
  #start = 0;
  #stop: (() => Promise<unknown>) | undefined;
  #isStopped = false;
  #over: Promise<void> = Promise.resolve();
  #failure: unknown;

  constructor(range: Range) {
    this.#range = range;
  }

  /** Begins to watch in a life that has begun to work. */
  begin(life: Life): void {
    this.#isStopped = false;
    this.#over = this.#run(life).catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** The clients are done: waits until all is told that is durable, and leaves. */
  async end(life: Life): Promise<void> {
    const { store, world } = life;
    const { readableVersion } = store.logReaders;
    for (let wait = 0; this.#mustGetOn(life, readableVersion); wait += 1) {
      const where = `he is at ${this.#version} of ${readableVersion}`;
      assert.ok(wait < waitsMax, `watch: all is durable and not told: ${where}`);
      await world.clock.sleep(waitMs);
      await life.unlessDead();
      if (this.#failure !== undefined) throw this.#failure;
    }
    this.#isStopped = true;
    await this.#stop?.();
    await this.#over;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #mustGetOn(life: Life, version: number): boolean {
    const { latched } = life.store.stats().condition;
    return !life.isClosing && !latched && !life.hasFailed && this.#version < version;
  }

  /** One watch after the other, as they end. */
  async #run(life: Life): Promise<void> {
    while (!this.#isStopped && !life.isClosing) {
      try {
        await this.#follow(life);
      } catch (error) {
        await life.unlessDead();
        if (!(error instanceof KvixError)) throw error;
        life.requireForeseen(error, false, "watch");
        if (error.reason === "HISTORY_LOST") this.#giveUpHistory(life);
      }
      await life.world.clock.sleep(1 + life.world.random.below(20));
      await life.unlessDead();
    }
  }

  /** Refused, and rightly: begins with what there is. */
  #giveUpHistory(life: Life): void {
    const { floor } = life.store.logReaders;
    const isRight = this.#version < floor || life.hasRot || life.hasFailed;
    assert.ok(isRight, `watch: refused at ${this.#version}, and the floor is ${floor}`);
    this.#version = floor;
    this.#start = floor;
  }

  async #follow(life: Life): Promise<void> {
    const { store, world, history } = life;
    const { random, wall } = world;
    const includeCurrent = random.chance(0.15);
    const keysOnly = random.chance(0.1);
    const afterVersion = this.#version;
    const { floor } = store.logReaders;
    const watch = store.watch({
      ...this.#range.options,
      ...(includeCurrent ? { includeCurrent } : { afterVersion }),
      keysOnly,
      bytesMax: random.pick([1, 200, 600, 4096, 65_536]),
      progressIntervalMs: random.pick([100, 300]),
    });
    this.#stop = () => watch.return?.() ?? Promise.resolve();
    const isComplete = includeCurrent || afterVersion >= floor;
    assert.ok(isComplete, `watch: ${afterVersion} is below the floor of ${floor}, and not refused`);
    history.published(store.version);
    const from = wall.now;
    const current = new Map<string, Found>();
    const leavesAfter = random.chance(0.3) ? random.below(8) : Number.POSITIVE_INFINITY;
    let told = new Set<number>();
    let isBare = keysOnly;
    let hasChanges = !includeCurrent;
    let last = this.#version;
    for (let steps = 0; ; steps += 1) {
      const { done, value: step } = await watch.next();
      await life.unlessDead();
      if (done === true) return;
      life.world.trace.number(step.version);
      if (step.events.length > 0) life.got("watch", step.version);
      if (step.isCurrent) {
        for (const event of step.events) isBare = this.#stands(life, event, current) || isBare;
        continue;
      }
      if (!hasChanges) {
        hasChanges = true;
        const { covers } = this.#range;
        const { version } = step;
        const look = { what: "watch", version, from, to: from, covers, found: current };
        history.looked({ ...look, isWithoutValues: isBare });
        [this.#version, this.#start, last] = [version, version, version];
      }
      last = this.#hear(life, step, last, told);
      if (step.continues) continue;
      this.#reach(life, step.version, last, told);
      told = new Set();
      if (steps >= leavesAfter && !this.#isStopped) {
        assert.equal(watch.resume.afterVersion, this.#version, "watch: where to go on");
        await watch.return?.();
        return;
      }
      if (random.chance(0.2) && life.isBusy) await life.pause();
      await life.unlessDead();
    }
  }

  /** A record that stands; answers whether it came without its value. */
  #stands(life: Life, event: WatchEvent, current: Map<string, Found>): boolean {
    const key = textOf(event.key);
    const { record, version, expiresAtMs } = event;
    assert.ok(
      this.#range.covers(key) && !current.has(key),
      `watch: ${key} stands, twice or not asked for`,
    );
    const isBare = record === "keys-only" || record === "too-large";
    if (record === "unreadable") current.set(key, unreadableOf(life, key, event));
    else if (isBare) current.set(key, { value: "", version, expiresAtMs });
    else current.set(key, { value: valueIn(record as Uint8Array), version, expiresAtMs });
    return isBare;
  }

  /** What a step tells; answers its last version. */
  #hear(life: Life, { events }: WatchStep, before: number, told: Set<number>): number {
    const { store, history, truth } = life;
    let last = before;
    for (const event of events) {
      const { kind, version, expiresAtMs, record } = event;
      const key = textOf(event.key);
      assert.ok(version > last, `watch: version ${version} comes after ${last}`);
      assert.ok(version <= store.version, `watch: version ${version} is told and not published`);
      assert.ok(this.#range.covers(key), `watch: ${key} was not asked for`);
      last = version;
      told.add(version);
      const isBare = typeof record === "string";
      const value = kind !== "set" ? undefined : isBare ? "left out" : valueIn(record);
      if (!isBare && value !== undefined) {
        assert.ok(life.wasAsked(key, value), `watch: nobody wrote version ${version} of ${key}`);
        history.seenDurable(value);
      }
      // What a compaction has taken meanwhile may be gone.
      const isInLog = version > store.logReaders.floor;
      if (isInLog && !(isBare && kind === "set")) {
        history.requireStored(key, value, version, "watch");
      }
      history.afterCalls(() => truth.told(version, { kind, key, value, expiresAtMs }));
    }
    life.counts.watched += events.length;
    return last;
  }

  /** All up to a version is told. */
  #reach(life: Life, version: number, last: number, told: ReadonlySet<number>): void {
    const { store, history, truth } = life;
    const before = this.#version;
    assert.ok(
      version >= before && version >= last,
      `watch: at ${version}, behind ${before}, ${last}`,
    );
    assert.ok(version <= store.version, `watch: at version ${version}, which is not published`);
    const start = this.#start;
    this.#version = version;
    history.afterCalls(() => {
      truth.requireAll(before, version, told, this.#range.covers);
      truth.requireWhole(version, start);
    });
  }
}

/** Somebody who watches some of a seed's keys, or all. */
export function planWatching(keys: readonly string[], pick: () => number): Watching {
  const [one = "", other = ""] = [keys[pick() % keys.length], keys[pick() % keys.length]].sort();
  switch (pick() % 6) {
    case 0:
      return new Watching({ options: { key: bytesOf(one) }, covers: (key) => key === one });
    case 1: {
      const prefix = one.slice(0, 1);
      const covers = (key: string): boolean => key.startsWith(prefix);
      return new Watching({ options: { prefix: bytesOf(prefix) }, covers });
    }
    case 2: {
      const options = { start: bytesOf(one), end: bytesOf(other) };
      if (one === other) return new Watching({ options: {}, covers: () => true });
      return new Watching({ options, covers: (key) => key >= one && key < other });
    }
    default:
      return new Watching({ options: {}, covers: () => true });
  }
}

function valueIn(record: Uint8Array): string {
  assert.ok(parseRecord(record, 0, record.length, fields), "watch: a record in its one encoding");
  return textOf(record.subarray(fields.valueStart, fields.valueEnd));
}
