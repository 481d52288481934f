/**
 * Clients of one life: each makes one call after the other, of every kind, and tells
 * the history what it asked and what it was told. What they do follows from the seed.
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { LocalStore } from "../../../src/engine/local-store.js";
import type {
  Condition,
  Durability,
  Expiry,
  Mutation,
  StoredRecord,
  TouchExpiry,
} from "../../../src/engine/store.js";
import { type Answer, type Ask, bytesOf, type Change, seenOf, type WriteCall } from "./call.js";
import type { Life } from "./life.js";
import { listPage, readKey, readLog, walkSnapshot } from "./readers.js";

const valueLengths = [0, 0, 8, 8, 40, 90, 250] as const;
const crowdBatchKeys = 300;
const dayMs = 86_400_000;

/** One client; resolves when it has made its calls. */
export async function runClient(life: Life, calls: number): Promise<void> {
  const client = new Client(life);
  for (let made = 0; made < calls; made += 1) {
    await client.callOnce();
    await life.pause();
  }
}

/** Writes the crowd, while others are at work. */
export async function writeCrowd(life: Life): Promise<void> {
  const client = new Client(life);
  for (let from = 0; from < life.crowd.length; from += crowdBatchKeys) {
    await client.write(life.crowd.slice(from, from + crowdBatchKeys));
    await life.pause();
  }
}

class Client {
  readonly #life: Life;
  /** The last version that it saw of a key, for conditions. */
  readonly #versions = new Map<string, number>();

  constructor(life: Life) {
    this.#life = life;
  }

  async callOnce(): Promise<void> {
    const life = this.#life;
    const { random } = life.world;
    life.counts.operations += 1;
    const key = life.pickKey();
    switch (random.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
        return await this.#set(key);
      case 6:
      case 7:
      case 8:
        return await this.#delete(key);
      case 9:
      case 10:
        return await this.#touch(key);
      case 11:
      case 12:
        return await this.#batch();
      case 13:
      case 14:
      case 15:
        return await readKey(life, key, (version) => this.#versions.set(key, version));
      case 16:
      case 17:
        return await listPage(life);
      case 18:
        return await (random.chance(0.5) ? walkSnapshot(life) : readLog(life));
      default:
        return await life.sync();
    }
  }

  async #set(key: string): Promise<void> {
    const { random } = this.#life.world;
    const value = this.#life.nextValue(key, random.pick(valueLengths));
    const expiry = this.#expiry();
    const condition = this.#condition(key);
    const returnPrevious = this.#life.mayAskForPrevious && random.chance(0.2);
    const durability = this.#durability();
    const changes: Change[] = [{ kind: "set", key, value, expiry }];
    await this.#make({ changes, condition, returnPrevious, durability }, async (store, signal) => {
      const options = { condition, returnPrevious, durability, signal };
      const result = await store.set(bytesOf(key), bytesOf(value), expiry, options);
      const { applied, version, expiresAtMs, previous, current } = result;
      if (version > 0) this.#versions.set(key, version);
      return {
        applied,
        found: applied,
        versions: [version],
        expiresAtMs,
        ...records(previous, current),
      };
    });
  }

  async #delete(key: string): Promise<void> {
    const { random } = this.#life.world;
    const condition = random.chance(0.3) ? this.#condition(key) : undefined;
    const returnPrevious = this.#life.mayAskForPrevious && random.chance(0.2);
    const durability = this.#durability();
    const changes: Change[] = [{ kind: "delete", key }];
    await this.#make({ changes, condition, returnPrevious, durability }, async (store, signal) => {
      const options = { condition, returnPrevious, durability, signal };
      const result = await store.delete(bytesOf(key), options);
      const { applied, deleted, version, previous, current } = result;
      return {
        applied,
        found: deleted,
        versions: [version],
        expiresAtMs: 0,
        ...records(previous, current),
      };
    });
  }

  async #touch(key: string): Promise<void> {
    const { random } = this.#life.world;
    const condition = random.chance(0.3) ? this.#condition(key) : undefined;
    const given = this.#expiry();
    const expiry: TouchExpiry = given.kind === "keep" ? { kind: "never" } : given;
    const durability = this.#durability();
    const changes: Change[] = [{ kind: "touch", key, expiry }];
    await this.#make({ changes, condition, durability }, async (store, signal) => {
      const result = await store.touch(bytesOf(key), expiry, { condition, durability, signal });
      const { applied, found, version, expiresAtMs, current } = result;
      return { applied, found, versions: [version], expiresAtMs, ...records(undefined, current) };
    });
  }

  async #batch(): Promise<void> {
    const { random } = this.#life.world;
    const chosen = this.#life.keys.filter(() => random.chance(0.3));
    const named = chosen.length === 0 ? [this.#life.pickKey()] : chosen;
    await this.#commit(
      named.map((key): Change => {
        if (random.chance(0.3)) return { kind: "delete", key };
        const value = this.#life.nextValue(key, random.pick(valueLengths));
        return { kind: "set", key, value, expiry: this.#fixedExpiry() };
      }),
    );
  }

  /** One batch that gives each key a value. */
  async write(keys: readonly string[]): Promise<void> {
    const expiry = { kind: "never" } as const;
    await this.#commit(
      keys.map((key) => ({ kind: "set", key, value: this.#life.nextValue(key, 0), expiry })),
    );
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    const durability = this.#durability();
    const mutations = changes.map((change): Mutation => {
      const key = bytesOf(change.key);
      if (change.kind !== "set") return { kind: "delete", key };
      return { kind: "set", key, value: bytesOf(change.value), expiry: change.expiry };
    });
    await this.#make({ changes, durability }, async (store, signal) => {
      const { results } = await store.commit(mutations, { durability, signal });
      const versions = results.map(({ version }) => version);
      return { applied: true, found: undefined, versions, expiresAtMs: undefined, ...records() };
    });
  }

  /** Makes a call, and tells the history of it. A dead process hears no answer. */
  async #make(
    ask: Ask,
    call: (store: LocalStore, signal: AbortSignal | undefined) => Promise<Answer>,
  ): Promise<void> {
    const life = this.#life;
    const { history, store } = life;
    const stop = life.world.random.chance(0.04) ? new AbortController() : undefined;
    if (stop !== undefined) void life.pause().then(() => stop.abort());
    const written = history.begin(ask);
    let answer: Answer;
    try {
      answer = await call(store, stop?.signal);
    } catch (error) {
      await life.unlessDead();
      this.#failed(written, error, stop?.signal.aborted === true);
      return;
    }
    await life.unlessDead();
    life.got(`${ask.changes.length}`, answer.versions.at(-1) ?? 0);
    history.published(store.version);
    history.answered(written, answer);
  }

  #failed(call: WriteCall, error: unknown, isAborted: boolean): void {
    const life = this.#life;
    life.requireForeseen(error, isAborted, String(call));
    assert.ok(error instanceof KvixError);
    life.history.failed(call, error.outcome === "unknown");
  }

  #condition(key: string): Condition | undefined {
    const { random } = this.#life.world;
    if (random.chance(0.6)) return undefined;
    const version = this.#versions.get(key) ?? 1 + random.below(50);
    const kinds = [{ kind: "absent" }, { kind: "present" }, { kind: "version", version }] as const;
    return random.pick(kinds);
  }

  #expiry(): Expiry {
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

  /** One that does not depend on when the call is accepted: of a batch that is not told. */
  #fixedExpiry(): Expiry {
    const { random, clock } = this.#life.world;
    if (random.chance(0.7)) return { kind: "never" };
    return { kind: "at", atMs: clock.wallMs() + random.below(400) };
  }

  #durability(): Durability {
    return this.#life.world.random.chance(0.45) ? "buffered" : "sync";
  }
}

function records(
  previous?: StoredRecord,
  current?: StoredRecord,
): Pick<Answer, "previous" | "current"> {
  return {
    previous: previous && seenOf(previous),
    current: current && seenOf(current),
  };
}
