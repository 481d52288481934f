/**
 * Clients of one life: each makes one call after the other, of every kind, and tells
 * the history what it asked and what it was told. What they do follows from the seed.
 */
import type { Durability, TouchExpiry } from "../../../src/engine/store.js";
import { bytesOf } from "./call.js";
import { Caller, conditionOf, single } from "./caller.js";
import { Commits } from "./commits.js";
import type { Life } from "./life.js";
import { listCrowd, listPage, readKey, readLog, walkSnapshot } from "./readers.js";
import { getBatch, scanRange } from "./scans.js";
import { upload } from "./uploads.js";

const crowdBatchKeys = 300;
/** So many pages of them all; and so many writes beside each. */
const crowdPages = 20;
const crowdWrites = 8;

/** Gives one key a value. */
export async function setOnce(
  life: Life,
  caller: Caller,
  key: string,
  durability: Durability,
): Promise<void> {
  const value = caller.value(key);
  const expiry = { kind: "never" } as const;
  const ask = { changes: [{ kind: "set", key, value, expiry }], demands: [], durability } as const;
  const call = async () => {
    const { version } = await life.store.set(bytesOf(key), bytesOf(value), expiry, { durability });
    return single(true, { version, found: true, expiresAtMs: 0 });
  };
  await caller.hear(ask, call, undefined);
}

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
  const commits = new Commits(life, new Caller(life));
  for (let from = 0; from < life.crowd.length; from += crowdBatchKeys) {
    await commits.write(life.crowd.slice(from, from + crowdBatchKeys));
    await life.pause();
  }
  for (let page = 0; page < crowdPages && life.isBusy; page += 1) {
    await Promise.all([listCrowd(life), writeMeanwhile(life)]);
    await life.unlessDead();
  }
}

/** Writes here and there in the crowd while a page of it is collected. */
async function writeMeanwhile(life: Life): Promise<void> {
  const caller = new Caller(life);
  const writes: Promise<void>[] = [];
  for (let count = 0; count < crowdWrites; count += 1) {
    writes.push(setOnce(life, caller, life.world.random.pick(life.crowd), "buffered"));
    await life.world.turn();
  }
  await Promise.all(writes);
}

type Weighted = readonly [weight: number, call: (client: Client, key: string) => Promise<void>];

class Client {
  readonly #life: Life;
  readonly #caller: Caller;
  readonly #commits: Commits;

  constructor(life: Life) {
    this.#life = life;
    this.#caller = new Caller(life);
    this.#commits = new Commits(life, this.#caller);
  }

  static readonly #calls: readonly Weighted[] = [
    [6, (client, key) => client.#set(key)],
    [3, (client, key) => client.#delete(key)],
    [2, (client, key) => client.#touch(key)],
    [2, (client) => client.#commits.commit()],
    [1, (client) => client.#commits.increment()],
    [1, (client) => client.#commits.repeat()],
    [3, (client, key) => client.#read(key)],
    [2, (client) => listPage(client.#life)],
    [
      1,
      (client) =>
        client.#life.world.random.chance(0.5) ? walkSnapshot(client.#life) : readLog(client.#life),
    ],
    [1, (client) => client.#life.sync()],
    [1, (client) => scanRange(client.#life)],
    [0.5, (client) => getBatch(client.#life)],
    [1, (client, key) => upload(client.#life, client.#caller, key)],
    [0.5, (client) => client.#life.rangeDeletes.remove(client.#life, client.#caller)],
  ];
  static readonly #weights = Client.#calls.reduce((sum, [weight]) => sum + weight, 0);

  async callOnce(): Promise<void> {
    const life = this.#life;
    life.counts.operations += 1;
    const key = life.pickKey();
    let dice = life.world.random.below(2 * Client.#weights) / 2;
    for (const [weight, call] of Client.#calls) {
      dice -= weight;
      if (dice < 0) return await call(this, key);
    }
  }

  async #read(key: string): Promise<void> {
    await readKey(this.#life, key, (version) => this.#caller.met(key, version));
  }

  async #set(key: string): Promise<void> {
    const { random } = this.#life.world;
    const value = this.#caller.value(key);
    const expiry = this.#caller.expiry();
    const demands = this.#caller.demand(key, 0.4);
    const returnPrevious = this.#life.mayAskForPrevious && random.chance(0.2);
    const durability = this.#caller.durability();
    const changes = [{ kind: "set", key, value, expiry }] as const;
    await this.#caller.make(
      { changes, demands, returnPrevious, durability },
      async (store, signal) => {
        const condition = conditionOf(demands);
        const options = { condition, returnPrevious, durability, signal };
        const result = await store.set(bytesOf(key), bytesOf(value), expiry, options);
        const { applied, version, expiresAtMs, previous, current } = result;
        this.#caller.met(key, version);
        return single(applied, { version, found: applied, expiresAtMs }, previous, current);
      },
    );
  }

  async #delete(key: string): Promise<void> {
    const { random } = this.#life.world;
    const demands = this.#caller.demand(key, 0.12);
    const returnPrevious = this.#life.mayAskForPrevious && random.chance(0.2);
    const durability = this.#caller.durability();
    const changes = [{ kind: "delete", key }] as const;
    await this.#caller.make(
      { changes, demands, returnPrevious, durability },
      async (store, signal) => {
        const condition = conditionOf(demands);
        const options = { condition, returnPrevious, durability, signal };
        const result = await store.delete(bytesOf(key), options);
        const { applied, deleted: found, version, previous, current } = result;
        return single(applied, { version, found, expiresAtMs: 0 }, previous, current);
      },
    );
  }

  async #touch(key: string): Promise<void> {
    const demands = this.#caller.demand(key, 0.12);
    const given = this.#caller.expiry();
    const expiry: TouchExpiry = given.kind === "keep" ? { kind: "never" } : given;
    const durability = this.#caller.durability();
    const changes = [{ kind: "touch", key, expiry }] as const;
    await this.#caller.make({ changes, demands, durability }, async (store, signal) => {
      const options = { condition: conditionOf(demands), durability, signal };
      const result = await store.touch(bytesOf(key), expiry, options);
      const { applied, found, version, expiresAtMs, current } = result;
      return single(applied, { version, found, expiresAtMs }, undefined, current);
    });
  }
}
