/**
 * A lock that frees itself, and whose token orders its holders.
 *
 *     free -> held by whoever wrote the record -> freed, or its time is up
 *
 * The record's version is the fencing token: it only ever grows. Who writes to the same
 * store puts `lock.isHeld` into the commit; any other resource must remember the highest
 * token that it has seen, and refuse a lower one.
 */
import type { CommitCondition, KeyValueStore } from "kvix";

/** A lock that was taken. */
export class Lock {
  readonly #kvix: KeyValueStore;
  readonly #key: string;
  readonly #ttlMs: number;
  /** Of the record as this holder wrote it last. */
  #version: number;
  /** Larger than that of every earlier holder. */
  readonly token: number;

  private constructor(kvix: KeyValueStore, key: string, ttlMs: number, version: number) {
    this.#kvix = kvix;
    this.#key = key;
    this.#ttlMs = ttlMs;
    this.#version = version;
    this.token = version;
  }

  /** Takes the lock for `ttlMs`; undefined: somebody has it. */
  static async take(kvix: KeyValueStore, name: string, ttlMs: number): Promise<Lock | undefined> {
    const key = `lock:${name}`;
    // A commit bears a request id: it is sent again if its answer was lost, and done once.
    const { applied, results } = await kvix.commit([{ kind: "set", key, value: "", ttlMs }], {
      conditions: [{ key, ifAbsent: true }],
    });
    const version = results[0]?.version;
    return applied && version !== undefined ? new Lock(kvix, key, ttlMs, version) : undefined;
  }

  /** What must hold for a commit of the holder's to be made. */
  get isHeld(): CommitCondition {
    return { key: this.#key, ifVersion: this.#version };
  }

  /** Has it for another `ttlMs`; false: it is lost, and may be another's. */
  async renew(): Promise<boolean> {
    const { applied, results } = await this.#kvix.commit(
      [{ kind: "touch", key: this.#key, ttlMs: this.#ttlMs }],
      { conditions: [this.isHeld] },
    );
    if (applied) this.#version = results[0]?.version ?? this.#version;
    return applied;
  }

  /** Gives it back; false: it was lost before. */
  async release(): Promise<boolean> {
    const mutations = [{ kind: "delete", key: this.#key }] as const;
    return (await this.#kvix.commit(mutations, { conditions: [this.isHeld] })).applied;
  }
}
