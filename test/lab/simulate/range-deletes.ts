/**
 * Range deletes of one client. Each record of a range is removed by a Delete as anybody's,
 * and the history hears of each; then of the call it is known what it must say: how many
 * were removed, and that nothing which stood when it began is left.
 */
import { strict as assert } from "node:assert";
import type { LocalStore } from "../../../src/engine/local-store.js";
import type { DeleteResult, WriteOptions } from "../../../src/engine/store.js";
import { bytesOf, textOf } from "./call.js";
import { type Caller, single } from "./caller.js";
import type { Life } from "./life.js";

/** One call, and what its deletes came to. */
interface RangeCall {
  readonly caller: Caller;
  readonly keys: Set<string>;
  removed: number;
}

/** Listens to the deletes that range deletes of a store make. */
export class RangeDeletes {
  /** A call is known by its signal. */
  readonly #calls = new Map<AbortSignal, RangeCall>();

  constructor(store: LocalStore) {
    const remove = store.delete.bind(store);
    store.delete = (key: Uint8Array, options: WriteOptions = {}): Promise<DeleteResult> => {
      const call = options.signal && this.#calls.get(options.signal);
      if (call === undefined) return remove(key, options);
      return this.#told(call, textOf(key), options, () => remove(key, options));
    };
  }

  /** Removes what lies in a range. */
  async remove(life: Life, caller: Caller): Promise<void> {
    const { store, world } = life;
    const { random } = world;
    const stop = new AbortController();
    if (random.chance(0.05)) void life.pause().then(() => stop.abort());
    const [start = "", end = ""] = [life.pickKey(), life.pickKey()].sort();
    const all = random.chance(0.1);
    const range = all ? { all } : { start: bytesOf(start), end: bytesOf(end) };
    if (!all && start === end) return;
    const limit = random.pick([1, 2, undefined]);
    const durability = caller.durability();
    const options = { ...range, limit, durability, signal: stop.signal };
    const covers = (key: string): boolean => all || (key >= start && key < end);
    const standing = this.#surely(life, covers);
    const call: RangeCall = { caller, keys: new Set(), removed: 0 };
    this.#calls.set(stop.signal, call);
    try {
      const { count, more } = await store.deleteRange(options);
      await life.unlessDead();
      life.got("range", count);
      assert.equal(count, call.removed, "a range delete counts what it has removed");
      const isWithin = limit === undefined || call.keys.size <= limit;
      assert.ok(isWithin, `a range delete removes more than ${limit}`);
      for (const key of call.keys) assert.ok(covers(key), `a range delete takes ${key}`);
      const left = standing.filter((key) => !call.keys.has(key));
      assert.ok(more || left.length === 0, `a range delete has left ${left}`);
    } catch (error) {
      await life.unlessDead();
      life.requireForeseen(error, stop.signal.aborted, "range delete");
    } finally {
      this.#calls.delete(stop.signal);
    }
  }

  /** Keys that stand, whatever is under way: nobody writes to them, and their time is not up. */
  #surely({ history, keys }: Life, covers: (key: string) => boolean): string[] {
    const busy = new Set<string>();
    for (const call of history.calls.slice(history.settled)) {
      for (const { key } of call.ask.changes) busy.add(key);
    }
    return keys.filter((key) => {
      const entry = history.states.newest(key);
      if (!covers(key) || busy.has(key) || entry?.value === undefined) return false;
      return entry.expiresAtMs === 0 && entry.isDamaged !== true;
    });
  }

  async #told(
    call: RangeCall,
    key: string,
    { durability = "sync", signal }: WriteOptions,
    remove: () => Promise<DeleteResult>,
  ): Promise<DeleteResult> {
    call.keys.add(key);
    const removing = remove();
    const heard = call.caller.hear(
      { changes: [{ kind: "delete", key }], demands: [], durability },
      async () => {
        const { applied, deleted, version } = await removing;
        if (deleted) call.removed += 1;
        return single(applied, { version, found: deleted, expiresAtMs: 0 });
      },
      signal,
    );
    try {
      return await removing;
    } finally {
      await heard;
    }
  }
}
