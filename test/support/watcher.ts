/**
 * Somebody who watches in the background, and holds what he is told against what
 * etcd promises of a watch: ordered, unique, reliable, atomic, resumable, bookmarkable.
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../src/base/kvix-error.js";
import type { WatchEvent, WatchStep } from "../../src/engine/store-watch.js";
import { newRecordFields, parseRecord } from "../../src/format/record.js";
import { keyOf, type Told, versionOf } from "./history-writer.js";
import { text } from "./store-rig.js";

const fields = newRecordFields();

/** An event in words, checked against the bytes of its record. */
export function wordsOf({ kind, key, version, record, expiresAtMs }: WatchEvent): Told {
  if (typeof record === "string") return `${version} ${kind} ${text(key)} (${record})`;
  assert.ok(parseRecord(record, 0, record.length, fields), "a record in its one encoding");
  assert.equal(text(record.subarray(fields.keyStart, fields.keyEnd)), text(key));
  assert.deepEqual([fields.version, fields.expiresAtMs], [version, expiresAtMs]);
  const value = text(record.subarray(fields.valueStart, fields.valueEnd));
  return kind === "set"
    ? `${version} set ${text(key)} ${value}`
    : `${version} ${kind} ${text(key)}`;
}

/** Reads steps until it is stopped, or its watch ends. */
export class Watcher {
  readonly steps: WatchStep[] = [];
  /** What the watch has ended with. */
  error: KvixError | undefined;
  readonly #watch: AsyncIterator<WatchStep>;
  #isStopped = false;
  /** Resolves when it reads no more. */
  readonly over: Promise<void>;

  constructor(watch: AsyncIterator<WatchStep>) {
    this.#watch = watch;
    this.over = this.#read();
  }

  /** All up to this version was told. */
  get version(): number {
    return Math.max(0, ...this.steps.map(({ version }) => version));
  }

  /** The changes that it was told, in words. */
  get told(): Told[] {
    return this.steps.flatMap(({ events, isCurrent }) => (isCurrent ? [] : events.map(wordsOf)));
  }

  /** The records that stood, in words. */
  get current(): Told[] {
    return this.steps.flatMap(({ events, isCurrent }) => (isCurrent ? events.map(wordsOf) : []));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#watch.return?.();
    await this.over;
  }

  async #read(): Promise<void> {
    try {
      while (!this.#isStopped) {
        const { done, value } = await this.#watch.next();
        if (done === true) return;
        this.steps.push(value);
      }
    } catch (error) {
      if (!(error instanceof KvixError)) throw error;
      if (!this.#isStopped) this.error = error;
    }
  }
}

/** What a watch began with. */
export interface WatchedFrom {
  readonly after: number;
  readonly matches: (key: string) => boolean;
}

/**
 * Holds steps against all changes of a history: after each step that does not continue
 * exactly the changes up to its version are told, once, in order, and no commit in part.
 */
export function requireTold(
  steps: readonly WatchStep[],
  changes: readonly (readonly Told[])[],
  { after, matches }: WatchedFrom,
): void {
  const wanted = changes.flat().filter((told) => versionOf(told) > after && matches(keyOf(told)));
  const borders = changes.filter((change) => change.length > 1);
  let told = 0;
  let version = after;
  let isInside = false;
  for (const step of steps) {
    assert.ok(step.version >= version, `version ${step.version} behind ${version}`);
    for (const event of step.events) {
      const want = wanted[told] ?? "";
      const isBare = typeof event.record === "string";
      const what = isBare ? `${want.split(" ").slice(0, 3).join(" ")} (${event.record})` : want;
      assert.equal(wordsOf(event), what, "ordered, unique, reliable");
      told += 1;
    }
    if (step.continues) {
      if (isInside) assert.equal(step.version, version, "it stands before the commit");
      isInside = true;
      version = step.version;
      continue;
    }
    isInside = false;
    version = step.version;
    const next = wanted[told];
    assert.ok(next === undefined || versionOf(next) > version, `${next} was passed over`);
    const last = wanted[told - 1];
    assert.ok(last === undefined || versionOf(last) <= version, `${last} is above ${version}`);
    for (const change of borders) {
      const [first, end] = [versionOf(change[0] as Told), versionOf(change.at(-1) as Told)];
      assert.ok(version < first || version >= end || after >= first, `in the middle of ${change}`);
    }
  }
}
