/**
 * DeleteRange: the records of a range, removed one by one through the write queue.
 *
 *   walk over the index, some keys a turn -> a Delete of each that is visible
 *                                         -> all answered -> what was seen is durable
 *
 * It is not atomic. Each key is removed by a Delete as anybody's, judged when it is
 * accepted: a record that was written anew since the walk passed it goes too, as if the
 * Delete had come behind the write, and counts; one that is gone by then, or expired,
 * does not count. A key that is written behind the walk stays. So a record that was
 * visible when the call began, and in reach of its limit, is gone when it ends, unless
 * it was written after its Delete.
 *
 * Deletes of one call share syncs like those of many callers. If one fails, no further
 * one is begun; what is under way is waited for, and the error says how many were
 * removed: its outcome is unknown, unless nothing can have been removed.
 *
 * Bounds (V11): Deletes of all calls under way take 1 MiB together, each 1 KiB and its
 * key: at most 1,024 of them. One turn looks at 256 keys.
 */
import { KvixError } from "../base/kvix-error.js";
import { RANGE_DELETES_MAX } from "../base/limits.js";
import type { Clock } from "../host/host.js";
import { hasExpired } from "./accepted-state.js";
import { ByteBudget } from "./byte-budget.js";
import { boundsOf, compareKeys, type KeyBounds } from "./key-range.js";
import { type Keydir, NO_ENTRY } from "./keydir/keydir.js";
import { requireWhole } from "./request-rules.js";
import type { DeleteResult, WriteOptions } from "./store.js";
import type { DeleteRangeOptions, DeleteRangeResult } from "./store-ranges.js";

const DELETES_BYTES_MAX = 1024 * 1024;
/** What a Delete counts beside its key. */
const DELETE_BYTES = 1024;
const VISITS_PER_TURN = 256;

/** What range deletes work with. */
export interface RangeDeleterContext {
  readonly keydir: Keydir;
  readonly clock: Clock;
  readonly remove: (key: Uint8Array, options: WriteOptions) => Promise<DeleteResult>;
  /** Resolves when all that was accepted may be told of with this durability. */
  readonly settle: (options: Pick<WriteOptions, "durability" | "signal">) => Promise<unknown>;
}

/** How far a call is. */
interface Progress {
  removed: number;
  /** Whether a Delete failed of which it is not known that it did not happen. */
  isUncertain: boolean;
  error: unknown;
}

/** Removes ranges. */
export class RangeDeleter {
  readonly #context: RangeDeleterContext;
  readonly #budget = new ByteBudget(DELETES_BYTES_MAX);

  constructor(context: RangeDeleterContext) {
    this.#context = context;
  }

  /** Removes or counts. Throws KvixErrors. */
  async deleteRange(options: DeleteRangeOptions): Promise<DeleteRangeResult> {
    const { limit = RANGE_DELETES_MAX, dryRun = false } = options;
    requireWhole("limit", limit, 1, RANGE_DELETES_MAX);
    const bounds = requireRange(options);
    if (dryRun) return await this.#count(bounds, limit, options.signal);
    const progress: Progress = { removed: 0, isUncertain: false, error: undefined };
    const deletes: Promise<void>[] = [];
    let more = false;
    try {
      for await (const key of this.#visible(bounds, options.signal)) {
        more = deletes.length === limit;
        if (more || progress.error !== undefined) break;
        deletes.push((await this.#begin(key, options, progress)).ended);
      }
    } catch (error) {
      progress.error ??= error;
    }
    await Promise.all(deletes);
    // What was found absent may be the doing of a write that is not durable yet.
    if (progress.error === undefined) {
      await this.#context.settle(options).catch((error: unknown) => {
        progress.error = error;
      });
    }
    if (progress.error !== undefined) throw outcomeOf(progress);
    return { count: progress.removed, more };
  }

  /** Turns away what waits. */
  close(): void {
    this.#budget.close();
  }

  async #count(
    bounds: KeyBounds,
    limit: number,
    signal: AbortSignal | undefined,
  ): Promise<DeleteRangeResult> {
    let count = 0;
    for await (const _key of this.#visible(bounds, signal)) {
      if (count === limit) return { count, more: true };
      count += 1;
    }
    return { count, more: false };
  }

  /** Hands a Delete to the queue when there is room, and resolves then; `ended` never rejects. */
  async #begin(
    key: Uint8Array,
    { durability, signal }: DeleteRangeOptions,
    progress: Progress,
  ): Promise<{ readonly ended: Promise<void> }> {
    const bytes = DELETE_BYTES + key.length;
    await this.#budget.take(bytes, signal);
    const ended = this.#context
      .remove(key, { durability, signal })
      .then(({ deleted }) => {
        if (deleted) progress.removed += 1;
      })
      .catch((error: unknown) => {
        progress.error ??= error;
        if (!(error instanceof KvixError && error.outcome === "not-applied")) {
          progress.isUncertain = true;
        }
      })
      .finally(() => this.#budget.give(bytes));
    return { ended };
  }

  /** The keys of the range that are visible when the walk passes them. */
  async *#visible(bounds: KeyBounds, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const { keydir, clock } = this.#context;
    const { low, high } = bounds;
    const cursor = low === undefined ? keydir.first() : keydir.seek(low, true);
    for (let visits = 1; ; visits += 1) {
      if (signal?.aborted === true) {
        throw new KvixError("CANCELLED", "", { cause: signal.reason });
      }
      const entry = cursor.next();
      if (entry === NO_ENTRY) return;
      const key = keydir.keyOf(entry);
      if (high !== undefined && compareKeys(key, high) >= 0) return;
      if (!hasExpired(keydir.expiresAtMsOf(entry), clock.wallMs())) yield key;
      if (visits % VISITS_PER_TURN === 0) await new Promise<void>((resolve) => clock.soon(resolve));
    }
  }
}

/** The bounds of what is to be removed. Throws FIELD_INVALID unless it was said which. */
function requireRange({ all = false, prefix, start, end }: DeleteRangeOptions): KeyBounds {
  const isNamed = [prefix, start, end].some((bytes) => bytes !== undefined && bytes.length > 0);
  if (all === isNamed) {
    const range = "true where no prefix, start or end is given, else left out";
    throw new KvixError("FIELD_INVALID", `all must be ${range}`, {
      metadata: { field: "all", range },
    });
  }
  return boundsOf({ prefix, start, end });
}

/** What is told of a call that failed midway. */
function outcomeOf({ error, removed, isUncertain }: Progress): unknown {
  if (!(error instanceof KvixError) || (removed === 0 && !isUncertain)) return error;
  return new KvixError(error.reason, `${removed} records were removed before`, {
    cause: error,
    metadata: { ...error.metadata, removed },
    outcome: "unknown",
  });
}
