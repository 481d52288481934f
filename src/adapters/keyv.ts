/**
 * A storage adapter for Keyv, over any store of kvix: the client of a server, or the
 * embedded one.
 *
 *     const keyv = new Keyv(new KvixKeyvStore(kvix), { namespace: "users" });
 *     await keyv.set("ada", { name: "Ada" }, 60_000);
 *
 * The record's key is the adapter's prefix and then the key as Keyv gives it, which has
 * the namespace in front; its value is the text that Keyv made. Keyv is no dependency:
 * the adapter has the shape that Keyv 5 asks for. It has no setMany: Keyv then sets each
 * record by itself, and says which were set; a client puts them into one message.
 *
 * Invariants
 *  1. It touches no key outside its prefix.
 *  2. A record expires in the store itself, by the server's clock; Keyv looks at its own
 *     clock besides.
 *  3. What cannot be read is an error, not a miss.
 */
import { EventEmitter } from "node:events";
import { KvixError } from "../base/kvix-error.js";
import type { KeyValueStore } from "../kv/key-value-store.js";
import type { ListedRecord } from "../kv/records.js";

/** How many keys one BatchGet may name; the limit of the contract. */
const BATCH_KEYS_MAX = 10_000;

/** How many calls of one `deleteMany` or `hasMany` may be under way. */
const CALLS_UNDER_WAY_MAX = 256;

/** What the adapter may be told. */
export interface KvixKeyvOptions {
  /** What its keys begin with: "keyv:" by default. `clear` removes nothing else. */
  readonly prefix?: string | undefined;
}

/** The adapter. The store is its caller's to close. */
export class KvixKeyvStore extends EventEmitter {
  /**
   * Keyv lends its iterator to stores of the dialects that it knows, and kvix is none of
   * them; of those, etcd is the nearest. Keyv writes here too.
   */
  readonly opts: { dialect: string; url: string; [name: string]: unknown };
  /** Keyv's namespace; it sets this. */
  namespace: string | undefined;
  readonly #kvix: KeyValueStore;
  readonly #prefix: string;

  constructor(kvix: KeyValueStore, { prefix = "keyv:" }: KvixKeyvOptions = {}) {
    super();
    this.#kvix = kvix;
    this.#prefix = prefix;
    this.opts = { dialect: "etcd", url: "kvix:" };
  }

  /**
   * The value of a key; undefined: there is none. An error is an event too, for Keyv keeps it.
   * Keyv calls what it has stored by the type of its own values; it is text.
   */
  async get<Value = string>(key: string): Promise<Value | undefined> {
    try {
      return (await this.#textAt(key)) as Value | undefined;
    } catch (error) {
      // Nobody listens: the rejection alone tells it.
      if (this.listenerCount("error") > 0) this.emit("error", error);
      throw error;
    }
  }

  /** The value of each key, in their order. Those that one answer holds are of one point in time. */
  async getMany<Value = string>(keys: readonly string[]): Promise<(Value | undefined)[]> {
    return (await this.#textsAt(keys)) as (Value | undefined)[];
  }

  /** Sets a record; resolves when it is durable. */
  async set(key: string, value: string, ttl?: number): Promise<true> {
    await this.#kvix.set(this.#prefix + key, value, ttl === undefined ? {} : { ttlMs: ttl });
    return true;
  }

  /** Removes a record; whether there was one. */
  async delete(key: string): Promise<boolean> {
    return (await this.#kvix.delete(this.#prefix + key)).deleted;
  }

  /** Removes many records; whether any was there. Not atomic. */
  async deleteMany(keys: readonly string[]): Promise<boolean> {
    return (await forEachBounded(keys, (key) => this.delete(key))).includes(true);
  }

  /** Whether a key has a record. */
  async has(key: string): Promise<boolean> {
    return await this.#kvix.exists(this.#prefix + key);
  }

  /** The same of many keys, in their order. */
  async hasMany(keys: readonly string[]): Promise<boolean[]> {
    return await forEachBounded(keys, (key) => this.has(key));
  }

  /** Removes every record of the namespace; without one, every record of the adapter. Not atomic. */
  async clear(): Promise<void> {
    const prefix = this.#rangeOf(this.namespace);
    while ((await this.#kvix.deleteRange(prefix === "" ? { all: true } : { prefix })).more);
  }

  /** The records of a namespace in key order, of one point in time unless it takes minutes. */
  async *iterator<Value = string>(
    namespace?: string,
  ): AsyncGenerator<(string | Awaited<Value>)[], void> {
    const prefix = this.#rangeOf(namespace);
    for await (const listed of this.#kvix.scan({ prefix, resume: true })) {
      const key = listed.keyText().slice(this.#prefix.length);
      const value = listed.omission === undefined ? textOf(listed) : await this.#textAt(key);
      if (value !== undefined) yield [key, value];
    }
  }

  async #textAt(key: string): Promise<string | undefined> {
    return (await this.#kvix.get(this.#prefix + key))?.text();
  }

  async #textsAt(keys: readonly string[]): Promise<(string | undefined)[]> {
    const values: (string | undefined)[] = [];
    while (values.length < keys.length) {
      const asked = keys.slice(values.length, values.length + BATCH_KEYS_MAX);
      const names = asked.map((key) => this.#prefix + key);
      const { entries } = await this.#kvix.batchGet(names);
      const answered = entries.indexOf("unread");
      const told = answered === -1 ? entries : entries.slice(0, answered);
      // What is too large comes without its value, so the first is always told; if it were
      // not, the same would be asked for ever.
      if (told.length === 0) values.push(await this.#textAt(asked[0] as string));
      for (const [at, entry] of told.entries()) {
        const needsGet = typeof entry === "object" && entry.omission !== undefined;
        values.push(needsGet ? await this.#textAt(asked[at] as string) : textOf(entry));
      }
    }
    return values;
  }

  #rangeOf(namespace: string | undefined): string {
    return namespace ? `${this.#prefix}${namespace}:` : this.#prefix;
  }
}

function textOf(entry: ListedRecord | undefined | "unread"): string | undefined {
  if (entry === "unread") throw new KvixError("INTERNAL_BUG", "an unread entry has no text");
  return entry?.record?.text();
}

/** Does a task for each of a list, so many at a time; the answers in the list's order. */
async function forEachBounded<Task, Answer>(
  tasks: readonly Task[],
  run: (task: Task) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  while (answers.length < tasks.length) {
    const part = tasks.slice(answers.length, answers.length + CALLS_UNDER_WAY_MAX);
    answers.push(...(await Promise.all(part.map(run))));
  }
  return answers;
}
