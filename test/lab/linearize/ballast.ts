/**
 * Records beside the history: written or deleted now and then, seldom again, and all of
 * them read after every start, and after every compaction.
 *
 * The keys of a history are few and hot, so alone they leave segments that are all but
 * dead, and a compaction has nothing to copy and nothing to leave out. With ballast
 * between them live and dead lie side by side: segments differ in how much of them lives,
 * some are taken and some are not, and a tombstone that is forgotten by a hint, or goes too
 * early in a compaction, has something to bring back; and a record that is written while
 * it is moved has an older one to lose against.
 *
 * Its own check is that of a key with one writer: what shows is the last acknowledged
 * value, or one of unknown outcome, which may come at any time.
 */
import { Durability, KvService } from "../../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { RpcClient } from "../../../src/rpc/client.js";
import type { SimRandom } from "../../support/sim-random.js";

const { get, set, delete: remove } = KvService.method;
const keysMax = 120;
const deleteShare = 0.35;

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

  /** Writes or deletes one record; to be awaited before the next. */
  async write(rpc: RpcClient): Promise<void> {
    this.#count += 1;
    const key = `ballast-${this.#random.below(keysMax)}`;
    // The empty text stands for no record: no value is empty.
    const isDelete = this.#random.chance(deleteShare);
    const text = `${this.#count}/`.padEnd(1 + this.#random.below(this.#valueBytesMax), "b");
    const value = isDelete ? "" : text;
    const before = this.#possible.get(key) ?? [""];
    this.#possible.set(key, [...before, value]);
    const request = { key: Buffer.from(key), durability: Durability.BUFFERED };
    try {
      if (isDelete) await rpc.call(remove, request);
      else await rpc.call(set, { ...request, value: Buffer.from(value) });
      this.#possible.set(key, [value, ...(this.#open.get(key) ?? [])]);
    } catch (error) {
      const isRefused = error instanceof KvixError && error.outcome === "not-applied";
      if (isRefused) this.#possible.set(key, before);
      else this.#open.set(key, [...(this.#open.get(key) ?? []), value]);
    }
  }

  /** Reads all of it, while nobody writes it; what shows and may not. */
  async faults(rpc: RpcClient): Promise<string[]> {
    const faults: string[] = [];
    const read = async ([key, possible]: readonly [string, readonly string[]]): Promise<void> => {
      const { record } = await rpc.call(get, { key: Buffer.from(key) });
      const shown = Buffer.from(record?.value ?? []).toString();
      if (!possible.includes(shown)) faults.push(`${key} shows ${shown.slice(0, 20) || "nothing"}`);
    };
    await Promise.all(Array.from(this.#possible, read));
    return faults;
  }
}
