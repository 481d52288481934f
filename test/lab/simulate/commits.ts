/** Commits and increments of one client, and repeats of those that bear an id. */
import type { ListedRecord, Mutation } from "../../../src/engine/store.js";
import {
  type Answer,
  type Ask,
  bytesOf,
  type Change,
  type RequestName,
  seenOf,
  type Unmet,
} from "./call.js";
import type { Caller } from "./caller.js";
import type { Life } from "./life.js";

/** A sum may be too large. */
const hugeDelta = 2n ** 62n;
const idBytes = 16;

/** What an id must have been given to, to be the same request. */
type Kind = "commit" | "increment";

/** Makes them. */
export class Commits {
  readonly #life: Life;
  readonly #caller: Caller;

  constructor(life: Life, caller: Caller) {
    this.#life = life;
    this.#caller = caller;
  }

  /** Some changes together, some of them on conditions. */
  async commit(): Promise<void> {
    const life = this.#life;
    const { random } = life.world;
    const chosen = life.keys.filter(() => random.chance(0.3));
    const named = chosen.length === 0 ? [life.pickKey()] : chosen;
    const changes = named.map((key) => this.#change(key));
    const watched = life.keys.filter(() => random.chance(0.3)).slice(0, 3);
    const demands = random.chance(0.3) ? watched.flatMap((key) => this.#caller.demand(key, 1)) : [];
    await this.#send({ changes, demands, durability: this.#caller.durability() }, "commit");
  }

  /** One batch that gives each key a value. */
  async write(keys: readonly string[]): Promise<void> {
    const expiry = { kind: "never" } as const;
    const changes = keys.map((key): Change => {
      return { kind: "set", key, value: this.#life.nextValue(key, 0), expiry };
    });
    await this.#commit({ changes, demands: [], durability: this.#caller.durability() });
  }

  async increment(): Promise<void> {
    const life = this.#life;
    const { random } = life.world;
    const key = random.chance(0.9) ? random.pick(life.numbers) : life.pickKey();
    const changes = [this.#increment(key)];
    await this.#send({ changes, demands: [], durability: this.#caller.durability() }, "increment");
  }

  /** A request of any life once more, or another one under its id. */
  async repeat(): Promise<void> {
    const { asked, world } = this.#life;
    const { random } = world;
    if (asked.length === 0) return await this.increment();
    const recent = random.chance(0.7) ? asked.slice(-6) : asked;
    const ask = random.pick(recent);
    const { request } = ask;
    const isOther = random.chance(0.15);
    if (request === undefined || !isOther) return await this.#make({ ...ask, isRepeat: true });
    const key = random.pick(this.#life.numbers);
    const other = { changes: [this.#increment(key)], demands: [], durability: ask.durability };
    await this.#make({ ...other, request: nameOf(request.id, "commit", other) });
  }

  #change(key: string): Change {
    const { random } = this.#life.world;
    const dice = random.below(10);
    if (dice < 3) return { kind: "delete", key };
    const expiry = this.#caller.expiry();
    if (dice === 3) {
      return { kind: "touch", key, expiry: expiry.kind === "keep" ? { kind: "never" } : expiry };
    }
    const isCounted = this.#life.numbers.includes(key);
    if (isCounted && dice < 7) return this.#increment(key);
    return { kind: "set", key, value: this.#caller.value(key), expiry };
  }

  #increment(key: string): Change {
    const { random } = this.#life.world;
    const delta = random.chance(0.04) ? hugeDelta : BigInt(random.below(2 ** 30)) - 2n ** 29n;
    const initial = random.chance(0.8) ? 0n : BigInt(random.below(2 ** 30));
    const expiry = random.chance(0.6) ? ({ kind: "keep" } as const) : this.#caller.expiry();
    return { kind: "increment", key, delta, initial, expiry };
  }

  /** Sends it, most of the time under an id, and then it may be repeated. */
  async #send(ask: Ask, kind: Kind): Promise<void> {
    const { world, asked } = this.#life;
    if (world.random.chance(0.4)) return await this.#make(ask, kind);
    const id = `request ${asked.length + 1}`.padEnd(idBytes, ".");
    const named = { ...ask, request: nameOf(id, kind, ask) };
    asked.push(named);
    await this.#make(named, kind);
  }

  async #make(ask: Ask, kind: Kind = kindOf(ask)): Promise<void> {
    if (kind === "commit") await this.#commit(ask);
    else await this.#add(ask);
  }

  async #add(ask: Ask): Promise<void> {
    const [change] = ask.changes;
    if (change?.kind !== "increment") throw new Error("an increment increments");
    const { key, delta, initial, expiry } = change;
    const { durability, request } = ask;
    const requestId = request && bytesOf(request.id);
    await this.#caller.make(ask, async (store, signal) => {
      const options = { durability, initial, expiry, requestId, signal };
      const result = await store.increment(bytesOf(key), delta, options);
      const { value: number, version, expiresAtMs, repeated: isRepeat } = result;
      const results = [{ version, found: false, expiresAtMs, number }];
      return { applied: true, results, unmet: [], previous: undefined, isRepeat };
    });
  }

  async #commit(ask: Ask): Promise<void> {
    const { changes, demands, durability, request } = ask;
    const conditions = demands.map(({ key, condition }) => ({ key: bytesOf(key), condition }));
    const requestId = request && bytesOf(request.id);
    const answer = await this.#caller.make(ask, async (store, signal) => {
      const options = { durability, conditions, requestId, signal };
      const result = await store.commit(changes.map(mutationOf), options);
      const unmet = result.unmet.map(({ index, current }): Unmet => {
        return { index, current: standing(current) };
      });
      const results = result.results.map(({ version, found, expiresAtMs, value }, index) => {
        const { kind } = changes[index] as Change;
        const shown = { version, found, expiresAtMs };
        return kind === "increment" ? { ...shown, number: value } : shown;
      });
      const { applied, repeated: isRepeat } = result;
      return { applied, results, unmet, previous: undefined, isRepeat } satisfies Answer;
    });
    for (const [index, { key }] of changes.entries()) {
      this.#caller.met(key, answer?.results[index]?.version ?? 0);
    }
  }
}

function standing(current: ListedRecord | undefined): Unmet["current"] {
  if (current === undefined) return undefined;
  return typeof current.record === "object" ? seenOf(current.record) : current.version;
}

function mutationOf(change: Change): Mutation {
  const key = bytesOf(change.key);
  if (change.kind === "set") return { ...change, key, value: bytesOf(change.value) };
  return { ...change, key };
}

function nameOf(id: string, kind: Kind, { changes, demands }: Ask): RequestName {
  const digest = JSON.stringify([kind, changes, demands], (_, value: unknown) => {
    return typeof value === "bigint" ? String(value) : value;
  });
  return { id, digest };
}

function kindOf({ request }: Ask): Kind {
  return request?.digest.startsWith('["increment"') === true ? "increment" : "commit";
}
