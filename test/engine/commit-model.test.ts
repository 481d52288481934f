/**
 * Commits and increments against a store in a Map: random ones, of all kinds, with
 * conditions, expiries, ids and repeats of them, through closes, kills and compactions.
 * Both are asked the same and must answer the same, but for the numbers of versions.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import type {
  CommitOptions,
  Expiry,
  KeyCondition,
  Mutation,
  Store,
  TouchExpiry,
} from "../../src/engine/store.js";
import { compact } from "../support/compaction-rig.js";
import { MemoryStore } from "../support/memory-store.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Rig, text } from "../support/store-rig.js";

const RUNS = 12;
const STEPS = 60;
const keys = ["a", "b", "c", "d", "e", "f"];
const values = ["", "0", "7", "-12", "9223372036854775807", "01", "word", "x".repeat(300)];

/** What is asked of both; a condition by version names that of the record that stands, or another. */
interface Ask {
  readonly kind: "commit" | "increment";
  readonly mutations: readonly Mutation[];
  readonly conditions: readonly { readonly key: string; readonly kind: string }[];
  readonly requestId: Uint8Array | undefined;
  readonly durability: "sync" | "buffered";
}

class Drawing {
  readonly #random: SimRandom;
  readonly #sent: Ask[] = [];

  constructor(random: SimRandom) {
    this.#random = random;
  }

  next(): Ask {
    const random = this.#random;
    if (this.#sent.length > 0 && random.below(4) === 0) return random.pick(this.#sent);
    const kind = random.below(4) === 0 ? "increment" : "commit";
    const chosen = keys.filter(() => random.below(3) === 0);
    const mutations = (kind === "commit" ? chosen : [random.pick(keys)]).map((key) => {
      return kind === "commit" ? this.#mutation(bytes(key)) : this.#increment(bytes(key));
    });
    const isGuarded = kind === "commit" && (mutations.length === 0 || random.below(2) === 0);
    const guarded = isGuarded ? [random.pick(keys)] : [];
    const conditions = guarded.map((key) => {
      return { key, kind: random.pick(["absent", "present", "version", "other"]) };
    });
    const hasId = random.below(2) === 0 && mutations.length > 0;
    const requestId = hasId ? bytes(`request ${this.#sent.length}`.padEnd(16, ".")) : undefined;
    const durability = random.pick(["sync", "buffered"] as const);
    const ask = { kind, mutations, conditions, requestId, durability } as const;
    if (hasId) this.#sent.push(ask);
    return ask;
  }

  #mutation(key: Uint8Array): Mutation {
    const random = this.#random;
    switch (random.below(5)) {
      case 0:
        return { kind: "delete", key };
      case 1:
        return { kind: "touch", key, expiry: this.#expiry() as TouchExpiry };
      case 2:
        return this.#increment(key);
      default: {
        const expiry = random.pick([undefined, this.#expiry(), { kind: "keep" } as const]);
        return { kind: "set", key, value: bytes(random.pick(values)), expiry };
      }
    }
  }

  #increment(key: Uint8Array): Mutation {
    const random = this.#random;
    const delta = random.pick([1n, -1n, 0n, 2n ** 62n, -(2n ** 63n)]);
    const expiry = random.pick([undefined, this.#expiry()]);
    return { kind: "increment", key, delta, initial: BigInt(random.below(3)), expiry };
  }

  #expiry(): Expiry {
    const random = this.#random;
    const ttl = { kind: "ttl", ttlMs: random.pick([500, 5000]) } as const;
    return random.pick([ttl, { kind: "never" } as const, { kind: "at", atMs: 1 } as const]);
  }
}

/** Asks one of them; the answer without the numbers of versions. */
async function told(store: Store, ask: Ask): Promise<unknown> {
  const { durability, requestId } = ask;
  const conditions = ask.conditions.map(({ key, kind }): KeyCondition => {
    const stands = store.exists(bytes(key))?.version ?? 2 ** 40;
    if (kind === "version") return { key: bytes(key), condition: { kind, version: stands } };
    if (kind === "other") {
      return { key: bytes(key), condition: { kind: "version", version: 2 ** 40 } };
    }
    return { key: bytes(key), condition: { kind: kind as "absent" } };
  });
  const options: CommitOptions = { durability, requestId, conditions };
  try {
    const [only] = ask.mutations;
    if (ask.kind === "increment" && only?.kind === "increment") {
      const { key, delta, initial, expiry } = only;
      const more = { durability, requestId, initial, expiry };
      const { value, version, expiresAtMs, repeated } = await store.increment(key, delta, more);
      return { value, isWritten: version > 0, expiresAtMs, repeated };
    }
    const { applied, results, unmet, repeated } = await store.commit(ask.mutations, options);
    return {
      applied,
      repeated,
      results: results.map(({ version, ...rest }) => ({ ...rest, isWritten: version > 0 })),
      unmet: unmet.map(({ index, current }) => {
        const record = current?.record;
        return [index, typeof record === "object" ? text(record.value) : undefined];
      }),
    };
  } catch (error) {
    if (!(error instanceof KvixError)) throw error;
    return [error.reason, error.metadata["field"]];
  }
}

async function stateOf(store: Store): Promise<unknown> {
  const found: Record<string, unknown> = {};
  for (const key of keys) {
    const record = await store.get(bytes(key));
    if (record !== undefined) found[key] = [text(record.value), record.expiresAtMs];
  }
  return found;
}

test("commits, increments and repeats answer and leave what a store in a Map does (G-COMMIT-2 G-COMMIT-3 G-INC-4 G-REQID-1 G-REQID-2 G-REQID-5)", async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const random = new SimRandom(run + 100);
    const segmentBytesMax = random.pick([400, 4000]);
    let rig = await Rig.open({ segmentBytesMax, compaction: "manual" });
    const { clock } = rig.sim;
    const model = new MemoryStore(() => clock.wallMs());
    const drawing = new Drawing(random);
    for (let step = 0; step < STEPS; step += 1) {
      const where = `run ${run}, step ${step}`;
      const asks = Array.from({ length: 1 + random.below(4) }, () => drawing.next());
      // A condition by version is looked up before it is sent: such go alone.
      const isAlone = asks.some(({ conditions }) => conditions.length > 0);
      const sent = isAlone ? asks.slice(0, 1) : asks;
      const answers = await Promise.all(sent.map((ask) => told(rig.store, ask)));
      for (const [index, ask] of sent.entries()) {
        assert.deepEqual(answers[index], await told(model, ask), where);
      }
      // The wall clock alone: no sweep comes between that the model has not.
      if (random.below(4) === 0) clock.stepWall(random.pick([100, 600]));
      const end = random.below(12);
      if (end === 0) rig = await rig.reopened();
      else if (end === 1) {
        await rig.store.sync();
        rig = await rig.killed();
      } else if (end === 2) await compact(rig);
      assert.deepEqual(await stateOf(rig.store), await stateOf(model), where);
    }
    await rig.store.close();
  }
});
