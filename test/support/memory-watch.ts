/**
 * What a MemoryStore has to watch: every change since it was made, and those who wait
 * for the next. A step is one change, however large; the current state is one step.
 */
import { KvixError } from "../../src/base/kvix-error.js";
import { boundsOf } from "../../src/engine/key-range.js";
import type {
  WatchEvent,
  WatchOptions,
  WatchStep,
  WatchSteps,
} from "../../src/engine/store-watch.js";
import { watchAskOf } from "../../src/engine/watch/watch-rules.js";

/** Every change, oldest first. */
export class MemoryHistory {
  readonly #changes: (readonly WatchEvent[])[] = [];
  #waiting: (() => void)[] = [];

  /** Adds what happened at once. */
  add(change: readonly WatchEvent[]): void {
    if (change.length === 0) return;
    this.#changes.push(change);
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Those who wait look again. */
  wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Watches from a version on; `standing`: the records that stand now. */
  watch(
    options: WatchOptions,
    version: number,
    standing: () => readonly WatchEvent[],
    isClosed: () => boolean,
  ): WatchSteps {
    watchAskOf(options);
    const { afterVersion = version, includeCurrent = false, keysOnly = false } = options;
    if (afterVersion > version)
      throw new KvixError("HISTORY_LOST", "", { resume: { afterVersion, historyFloor: 0 } });
    const isOurs = matcher(options);
    const bare = (event: WatchEvent): WatchEvent =>
      keysOnly ? { ...event, record: "keys-only" } : event;
    const current = includeCurrent ? standing().filter(isOurs).map(bare) : [];
    const ours = (change: readonly WatchEvent[]) => change.filter(isOurs).map(bare);
    const steps = this.#steps(options, afterVersion, current, ours, isClosed);
    let told = options.afterVersion ?? 0;
    const next = async (): Promise<IteratorResult<WatchStep, undefined>> => {
      const result = await steps.next();
      if (result.done !== true) told = Math.max(told, result.value.version);
      return result;
    };
    const watching: WatchSteps = {
      next,
      return: () => steps.return(undefined),
      [Symbol.asyncIterator]: () => watching,
      get resume() {
        return { afterVersion: told, historyFloor: 0 };
      },
    };
    return watching;
  }

  async *#steps(
    { signal }: WatchOptions,
    afterVersion: number,
    current: readonly WatchEvent[],
    ours: (change: readonly WatchEvent[]) => readonly WatchEvent[],
    isClosed: () => boolean,
  ): AsyncGenerator<WatchStep, undefined> {
    if (current.length > 0) {
      yield { events: current, version: 0, isCurrent: true, continues: false };
    }
    yield { events: [], version: afterVersion, isCurrent: false, continues: false };
    for (let index = 0; ; ) {
      if (isClosed()) throw new KvixError("STORE_CLOSING", "", { outcome: "none" });
      if (signal?.aborted === true) throw new KvixError("CANCELLED", "", { outcome: "none" });
      const change = this.#changes[index];
      if (change === undefined) {
        await new Promise<void>((resolve) => {
          this.#waiting.push(resolve);
          signal?.addEventListener("abort", () => resolve(), { once: true });
        });
        continue;
      }
      index += 1;
      const { version } = change.at(-1) as WatchEvent;
      const events = ours(change.filter((event) => event.version > afterVersion));
      if (events.length > 0) yield { events, version, isCurrent: false, continues: false };
    }
  }
}

function matcher({ key, prefix, start, end }: WatchOptions): (event: WatchEvent) => boolean {
  if (key !== undefined && key.length > 0) return (event) => Buffer.compare(event.key, key) === 0;
  const { low, high } = boundsOf({ prefix, start, end });
  return (event) =>
    (low === undefined || Buffer.compare(event.key, low) >= 0) &&
    (high === undefined || Buffer.compare(event.key, high) < 0);
}
