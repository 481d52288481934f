/**
 * Makes the calls of one client, tells the history of what it asked and was told, and
 * draws what goes with a call. A dead process hears no answer.
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { LocalStore } from "../../../src/engine/local-store.js";
import type { Condition, Durability, Expiry, StoredRecord } from "../../../src/engine/store.js";
import {
  type Answer,
  type Ask,
  type ChangeResult,
  type Heard,
  type KeyDemand,
  newestOf,
  seenOf,
  type Unmet,
  type WriteCall,
} from "./call.js";
import type { Life } from "./life.js";

const valueLengths = [0, 0, 8, 8, 40, 90, 250] as const;
const dayMs = 86_400_000;

/** What a store makes of an ask. */
export type Call = (store: LocalStore, signal: AbortSignal | undefined) => Promise<Answer>;

/** For one client. */
export class Caller {
  readonly #life: Life;
  /** The last version that it saw of a key, for conditions. */
  readonly #versions = new Map<string, number>();

  constructor(life: Life) {
    this.#life = life;
  }

  /** It has seen a version of a key. */
  met(key: string, version: number): void {
    if (version > 0) this.#versions.set(key, version);
  }

  /** Makes a call, given up now and then. */
  async make(ask: Ask, call: Call): Promise<Answer | undefined> {
    const life = this.#life;
    const stop = life.world.random.chance(0.04) ? new AbortController() : undefined;
    if (stop !== undefined) void life.pause().then(() => stop.abort());
    return await this.hear(ask, () => call(life.store, stop?.signal), stop?.signal);
  }

  /** Makes a call at once, and tells the history of it; undefined: it has failed. */
  async hear(
    ask: Ask,
    call: () => Promise<Answer>,
    signal: AbortSignal | undefined,
  ): Promise<Answer | undefined> {
    const life = this.#life;
    const { history, store } = life;
    const written = history.begin(ask);
    let answer: Answer;
    try {
      answer = await call();
    } catch (error) {
      await life.unlessDead();
      this.#failed(written, error, signal?.aborted === true);
      return undefined;
    }
    await life.unlessDead();
    const newest = newestOf(answer);
    life.got(`${ask.changes.length}`, newest);
    life.diskWatch.requireReserved(newest);
    history.published(store.version);
    history.answered(written, answer, this.#heard());
    return answer;
  }

  demand(key: string, share: number): readonly KeyDemand[] {
    const { random } = this.#life.world;
    if (!random.chance(share)) return [];
    const version = this.#versions.get(key) ?? 1 + random.below(50);
    const kinds = [{ kind: "absent" }, { kind: "present" }, { kind: "version", version }] as const;
    return [{ key, condition: random.pick(kinds) }];
  }

  value(key: string): string {
    return this.#life.nextValue(key, this.#life.world.random.pick(valueLengths));
  }

  expiry(): Expiry {
    const { random, clock } = this.#life.world;
    switch (random.below(8)) {
      case 0:
        return { kind: "ttl", ttlMs: 1 + random.below(300) };
      case 1:
        return { kind: "ttl", ttlMs: 10 * dayMs };
      case 2:
        return { kind: "at", atMs: clock.wallMs() + random.below(400) - 100 };
      case 3:
        return { kind: "keep" };
      default:
        return { kind: "never" };
    }
  }

  durability(): Durability {
    return this.#life.world.random.chance(0.45) ? "buffered" : "sync";
  }

  #failed(call: WriteCall, error: unknown, isAborted: boolean): void {
    const life = this.#life;
    life.requireForeseen(error, isAborted, String(call));
    assert.ok(error instanceof KvixError);
    // A repeat whose first answer cannot be read has changed nothing.
    const isOfRepeat =
      call.ask.request !== undefined &&
      (error.reason === "READ_FAILED" || error.reason === "PREVIOUS_CORRUPT");
    const isUnknown = error.outcome === "unknown" && !isOfRepeat;
    if (error.outcome === "not-applied") life.history.requireUnwritten(call);
    life.history.failed(call, isUnknown, error.reason, this.#heard());
  }

  #heard(): Heard {
    const { store, world, windowMs } = this.#life;
    const { floor } = store.logReaders;
    return { floor, monotonicMs: world.clock.monotonicMs(), windowMs };
  }
}

/** The condition of a call of one key. */
export function conditionOf(demands: readonly KeyDemand[]): Condition | undefined {
  return demands[0]?.condition;
}

/** The answer to a call of one key. */
export function single(
  applied: boolean,
  result: ChangeResult,
  previous?: StoredRecord,
  current?: StoredRecord,
): Answer {
  const unmet: Unmet[] = applied ? [] : [{ index: 0, current: current && seenOf(current) }];
  return { applied, results: [result], unmet, previous: previous && seenOf(previous) };
}
