/**
 * Records beside the history: written now and then, seldom again, and read at the end.
 *
 * The keys of a history are few and hot, so alone they leave segments that are all but
 * dead, and a compaction has nothing to copy and nothing to leave out. With ballast
 * between them live and dead lie side by side: segments differ in how much of them lives,
 * some are taken and some are not, and a tombstone that goes too early has something to
 * bring back.
 *
 * Its own check is that of a key with one writer: what shows is the last acknowledged
 * value, or one of unknown outcome, which may come at any time.
 */
import { Durability, KvService } from "../../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { RpcClient } from "../../../src/rpc/client.js";
import type { SimRandom } from "../../support/sim-random.js";

const { get, set } = KvService.method;
const keysMax = 150;

/** Cold records, with one writer. */
export class Ballast {
  readonly #random: SimRandom;
  readonly #valueBytesMax: number;
  /** Under each key what may stand there, and of that what is of unknown outcome. */
  readonly #possible = new Map<string, string[]>();
  readonly #open = new Map<string, string[]>();
  #count = 0;

  constructor(random: SimRandom, valueBytesMax: number) {
    this.#random = random;
    this.#valueBytesMax = valueBytesMax;
  }

  /** Writes one record; to be awaited before the next. */
  async write(rpc: RpcClient): Promise<void> {
    this.#count += 1;
    const key = `ballast-${this.#random.below(keysMax)}`;
    const value = `${this.#count}/`.padEnd(1 + this.#random.below(this.#valueBytesMax), "b");
    const before = this.#possible.get(key) ?? [""];
    this.#possible.set(key, [...before, value]);
    try {
      const request = { key: Buffer.from(key), value: Buffer.from(value) };
      await rpc.call(set, { ...request, durability: Durability.BUFFERED });
      this.#possible.set(key, [value, ...(this.#open.get(key) ?? [])]);
    } catch (error) {
      const isRefused = error instanceof KvixError && error.outcome === "not-applied";
      if (isRefused) this.#possible.set(key, before);
      else this.#open.set(key, [...(this.#open.get(key) ?? []), value]);
    }
  }

  /** Reads all of it; what shows and may not. */
  async faults(rpc: RpcClient): Promise<string[]> {
    const faults: string[] = [];
    for (const [key, possible] of this.#possible) {
      const { record } = await rpc.call(get, { key: Buffer.from(key) });
      const shown = Buffer.from(record?.value ?? []).toString();
      // The empty text stands for no record: no value is empty.
      if (!possible.includes(shown)) faults.push(`${key} shows ${shown.slice(0, 20) || "nothing"}`);
    }
    return faults;
  }
}
