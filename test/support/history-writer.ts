/**
 * A history of writes, made at random and known in words, to hold against what the log
 * and those who watch it tell.
 */
import { strict as assert } from "node:assert";
import type { Mutation } from "../../src/engine/store.js";
import type { SimRandom } from "./sim-random.js";
import { bytes, type Rig } from "./store-rig.js";

/** An event in words: "12 set key value", "13 delete key", "14 expire key". */
export type Told = string;

/** The version of an event. */
export const versionOf = (told: Told): number => Number(told.split(" ")[0]);

/** The key of an event. */
export const keyOf = (told: Told): string => told.split(" ")[2] as string;

/** Writes at random, and knows what was written. */
export class HistoryWriter {
  /** In version order; a batch is one. */
  readonly changes: Told[][] = [];
  readonly #random: SimRandom;
  #values = 0;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  #key(): string {
    return `k${this.#random.below(12)}`;
  }

  #value(): string {
    this.#values += 1;
    const length = this.#random.chance(0.03) ? 3000 : this.#random.below(60);
    return `${this.#values}${"v".repeat(length)}`;
  }

  /** Writes something, and waits for the answer. */
  async write(rig: Rig): Promise<void> {
    const durability = this.#random.chance(0.5) ? "buffered" : "sync";
    const choice = this.#random.below(10);
    if (choice < 5) {
      const [key, value] = [this.#key(), this.#value()];
      const { version } = await rig.set(key, value, { durability });
      this.changes.push([`${version} set ${key} ${value}`]);
    } else if (choice < 7) {
      const key = this.#key();
      const { version, deleted } = await rig.delete(key, { durability });
      if (deleted) this.changes.push([`${version} delete ${key}`]);
    } else if (choice < 8) {
      const key = `e${this.#values}`;
      const expiry = { kind: "ttl", ttlMs: 1 } as const;
      const { version } = await rig.set(key, "", { durability, expiry });
      this.changes.push([`${version} set ${key} `]);
      await rig.sim.clock.advance(250);
      assert.equal(rig.store.version, version + 1, "it was swept");
      this.changes.push([`${version + 1} expire ${key}`]);
    } else {
      await this.#batch(rig, durability);
    }
  }

  async #batch(rig: Rig, durability: "sync" | "buffered"): Promise<void> {
    const keys = [...new Set([this.#key(), this.#key(), this.#key()])];
    const values = keys.map(() => (this.#random.chance(0.3) ? undefined : this.#value()));
    const mutations = keys.map((key, index): Mutation => {
      const value = values[index];
      if (value === undefined) return { kind: "delete", key: bytes(key) };
      return { kind: "set", key: bytes(key), value: bytes(value) };
    });
    const { results } = await rig.store.commit(mutations, { durability });
    const told = keys.flatMap((key, index) => {
      const [version, value] = [results[index]?.version ?? 0, values[index]];
      if (version === 0) return [];
      return value === undefined ? `${version} delete ${key}` : `${version} set ${key} ${value}`;
    });
    if (told.length > 0) this.changes.push(told);
  }

  /** What comes after a version; of a batch, the rest. */
  after(version: number): Told[][] {
    const rest = this.changes.map((change) => change.filter((told) => versionOf(told) > version));
    return rest.filter((change) => change.length > 0);
  }
}
