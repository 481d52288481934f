/** Runs of sets among other writes, while appends fail: what is answered is what is there. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import type { SetRunResult } from "../../src/engine/store.js";
import { runOf } from "../support/set-runs.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Rig, segmentFiles, text } from "../support/store-rig.js";

const keys = Array.from({ length: 12 }, (_, at) => `key-${"x".repeat(at * 3)}${at}`);

/** A change that was acknowledged. */
interface Change {
  readonly key: string;
  readonly version: number;
  /** Undefined: a delete. */
  readonly value: string | undefined;
  /** The version that it is said to have replaced; 0: none; undefined: not asked for. */
  readonly replaced: number | undefined;
}

/** One life of a store. */
class Life {
  readonly random: SimRandom;
  readonly changes: Change[] = [];
  /** Of every operation that changed something, the versions, in the order in which they were asked for. */
  readonly order: (readonly number[])[] = [];
  refusals = 0;
  #values = 0;

  constructor(seed: number) {
    this.random = new SimRandom(seed);
  }

  /** Asks for some operation; resolves when it is answered. */
  ask(rig: Rig): Promise<void> {
    const { random } = this;
    const place = this.order.push([]) - 1;
    const durability = random.pick(["sync", "buffered"] as const);
    const key = random.pick(keys);
    const apply = (changes: readonly Change[]): void => {
      this.changes.push(...changes);
      this.order[place] = changes.map(({ version }) => version);
    };
    const refused = (error: unknown): void => {
      assert.ok(error instanceof KvixError, String(error));
      assert.equal(error.outcome, "not-applied", error.message);
      this.refusals += 1;
    };
    if (random.chance(0.25)) {
      const value = this.#value();
      return rig.set(key, value, { durability, returnPrevious: true }).then((result) => {
        const { version, previous } = result;
        apply([{ key, version, value, replaced: previous?.version ?? 0 }]);
      }, refused);
    }
    if (random.chance(0.25)) {
      return rig.delete(key, { durability, returnPrevious: true }).then((result) => {
        const { deleted, version, previous } = result;
        if (!deleted) return;
        apply([{ key, version, value: undefined, replaced: previous?.version ?? 0 }]);
      }, refused);
    }
    const count = 1 + random.below(6);
    const pairs = Array.from({ length: count }, () => [random.pick(keys), this.#value()] as const);
    const sets = runOf(pairs.map(([own, value]) => ({ key: bytes(own), value: bytes(value) })));
    return new Promise<SetRunResult>((resolve, reject) => {
      rig.store.submitSets(sets, { durability }, { resolve, reject });
    }).then(({ firstVersion, refused: none }) => {
      assert.equal(none, undefined);
      apply(
        pairs.map(([own, value], at) => {
          return { key: own, version: firstVersion + at, value, replaced: undefined };
        }),
      );
    }, refused);
  }

  #value(): string {
    this.#values += 1;
    return `value ${this.#values} ${"y".repeat(this.random.below(40))}`;
  }
}

/** What the acknowledged changes leave; fails if they contradict one another. */
function judge({ changes, order }: Life): Map<string, Change> {
  const flat = order.flat();
  assert.deepEqual(
    flat,
    flat.toSorted((one, other) => one - other),
    "versions follow the order in which was asked",
  );
  const state = new Map<string, Change>();
  for (const change of changes.toSorted((one, other) => one.version - other.version)) {
    const { key, replaced } = change;
    const stood = state.get(key);
    const stoodVersion = stood?.value === undefined ? 0 : stood.version;
    if (replaced !== undefined) assert.equal(replaced, stoodVersion, key);
    state.set(key, change);
  }
  return state;
}

async function compare(rig: Rig, state: ReadonlyMap<string, Change>): Promise<void> {
  for (const key of keys) {
    const record = await rig.store.get(bytes(key));
    const stands = state.get(key);
    assert.equal(record && text(record.value), stands?.value, key);
    if (record !== undefined) assert.equal(record.version, stands?.version);
  }
}

async function live(seed: number): Promise<number> {
  const life = new Life(seed);
  const { random } = life;
  const rig = await Rig.open({
    segmentBytesMax: random.pick([1200, 3000, 2 ** 20]),
    inFlightBytesMax: random.pick([1, 3000, 2 ** 20]),
    flushIntervalMs: 50,
  });
  for (let round = 0; round < 12; round += 1) {
    const lengthBytes = random.below(200);
    let until = random.chance(0.5) ? random.below(3) : -1;
    rig.injector = ({ op, path }) => {
      if (op !== "write" || !segmentFiles.test(path)) return undefined;
      until -= 1;
      return until === -1 ? { kind: "short", lengthBytes, code: "EIO" } : undefined;
    };
    const asked: Promise<void>[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      for (let count = random.below(5); count > 0; count -= 1) asked.push(life.ask(rig));
      if (random.chance(0.5)) await Promise.resolve();
    }
    await rig.settle();
    await rig.sim.clock.advance(100);
    await Promise.all(asked);
    await compare(rig, judge(life));
  }
  rig.injector = undefined;
  await rig.store.flush();
  const state = judge(life);
  const reopened = await rig.powerCut();
  await compare(reopened, state);
  await reopened.store.close();
  return life.refusals;
}

test("V14 D6: runs of sets among other writes have the versions and the order that they are told, though appends fail", async () => {
  let refusals = 0;
  for (let seed = 0; seed < 30; seed += 1) refusals += await live(seed);
  assert.ok(refusals > 0);
});
