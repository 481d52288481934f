/**
 * The keydir against a Map: any order of puts, overwrites, removals, upkeep and
 * walks, with the real hash and with hashes made to collide.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Keydir, NO_ENTRY, type OrderedCursor } from "../../../src/engine/keydir/keydir.js";

/** The keys that a run plays with, and how their hash is forced. */
interface World {
  readonly name: string;
  readonly keyOf: (number: number) => string;
  readonly keys: number;
  readonly hash?: (key: Uint8Array) => number;
}

type Operation =
  | { readonly kind: "put"; readonly from: number; readonly count: number }
  | { readonly kind: "remove"; readonly from: number; readonly count: number }
  | { readonly kind: "maintain"; readonly steps: number }
  | {
      readonly kind: "open";
      readonly at: number;
      readonly up: boolean;
      readonly inclusive: boolean;
    }
  | { readonly kind: "walk"; readonly cursor: number; readonly steps: number };

/** A walk under way, and the keys that it must not miss: those there when it began. */
interface Walk {
  readonly cursor: OrderedCursor;
  readonly up: boolean;
  readonly expected: readonly string[];
  readonly removed: Set<string>;
  seen: number;
  last: string | undefined;
}

const scattered = (number: number) => Math.imul(number + 1, 0x9e3779b1) >>> 0;
const word = (number: number) => String.fromCharCode(...Buffer.from(Uint32Array.of(number).buffer));

const worlds: readonly World[] = [
  { name: "random keys", keys: 12_000, keyOf: (i) => word(scattered(i)) + word(i) },
  {
    name: "keys that share a long prefix and end early",
    keys: 8_000,
    // Below one another: "p", "p\0", "p\0\0" ... tie on every gathered byte.
    keyOf: (i) => `tenant:long-prefix:${"\0".repeat(i % 23)}${i < 23 ? "" : word(i)}`,
  },
  {
    name: "keys of all sizes",
    keys: 900,
    keyOf: (i) => word(scattered(i)).repeat([1, 3, 31, 32, 33, 400, 5_000][i % 7]!),
  },
  { name: "ascending keys", keys: 12_000, keyOf: (i) => `k${String(i).padStart(9, "0")}` },
  {
    name: "eight hashes for all",
    keys: 12_000,
    keyOf: (i) => word(scattered(i)) + word(i),
    hash: (key) => (key[0]! & 7) << 13,
  },
  {
    name: "one hash for all, and each key twice: with a zero byte behind it",
    keys: 6_000,
    keyOf: (i) => word(scattered(i >>> 1)) + "\0".repeat(i & 1),
    hash: () => -1,
  },
];

/** A keydir and its model, checked against each other. */
class Pair {
  readonly keydir: Keydir;
  readonly model = new Map<string, number>();
  readonly walks: Walk[] = [];
  readonly world: World;
  #version = 2 ** 32 - 50;

  constructor(world: World) {
    this.world = world;
    const seed = new Uint8Array(16).fill(world.keys);
    this.keydir = new Keydir(world.hash === undefined ? { seed } : { seed, hash: world.hash });
  }

  apply(operation: Operation): void {
    if (operation.kind === "put" || operation.kind === "remove") {
      for (let i = 0; i < operation.count; i++) {
        // A stride, so that ranges overlap without being equal.
        const key = this.world.keyOf((operation.from + i * 7) % this.world.keys);
        if (operation.kind === "put") this.#put(key);
        else this.#remove(key);
      }
    } else if (operation.kind === "maintain") {
      for (let i = 0; i < operation.steps && this.keydir.maintain(); i++);
    } else if (operation.kind === "open") {
      this.#open(operation.at, operation.up, operation.inclusive);
    } else if (this.walks.length > 0) {
      this.#walk(this.walks[operation.cursor % this.walks.length]!, operation.steps);
    }
    assert.equal(this.keydir.count, this.model.size);
    assert.ok(this.keydir.worstStepBytes <= 65_536);
  }

  /** Every key is found with its version, in hash and in order, and no other is. */
  checkAll(): void {
    for (let i = 0; i < this.world.keys; i++) {
      const key = this.world.keyOf(i);
      const entry = this.keydir.find(Buffer.from(key, "latin1"));
      assert.equal(
        entry === NO_ENTRY ? undefined : this.keydir.versionOf(entry),
        this.model.get(key),
      );
    }
    this.walks.length = 0;
    this.#open(0, true, true, true);
    this.#open(0, false, true, true);
    for (const walk of this.walks) this.#walk(walk, Number.POSITIVE_INFINITY);
  }

  removeAll(): void {
    this.keydir.forEach((entry) => {
      this.keydir.remove(entry);
    });
    while (this.keydir.maintain());
  }

  #put(key: string): void {
    const bytes = Buffer.from(`#${key}#`, "latin1");
    const version = ++this.#version;
    const entry = this.keydir.put(bytes, 1, bytes.length - 1, 1, 2, 3, 0, version);
    assert.equal(this.keydir.versionOf(entry), version);
    this.model.set(key, version);
  }

  #remove(key: string): void {
    const entry = this.keydir.find(Buffer.from(key, "latin1"));
    assert.equal(entry !== NO_ENTRY, this.model.delete(key));
    if (entry === NO_ENTRY) return;
    this.keydir.remove(entry);
    for (const walk of this.walks) walk.removed.add(key);
  }

  #open(at: number, up: boolean, inclusive: boolean, whole = false): void {
    const key = this.world.keyOf(at % this.world.keys);
    const bytes = Buffer.from(key, "latin1");
    const isIn = (other: string) =>
      whole || (inclusive && other === key) || (up ? other > key : other < key);
    const expected = [...this.model.keys()].filter(isIn).sort();
    const backward = this.keydir.seekBackward(whole ? undefined : bytes, inclusive);
    const forward = whole ? this.keydir.first() : this.keydir.seek(bytes, inclusive);
    if (!up) expected.reverse();
    const cursor = up ? forward : backward;
    // A walk keeps its own copy of where it begins.
    bytes.fill(0xee);
    this.walks.push({ cursor, up, expected, removed: new Set(), seen: 0, last: undefined });
  }

  #walk(walk: Walk, steps: number): void {
    for (let i = 0; i < steps; i++) {
      const entry = walk.cursor.next();
      const key =
        entry === NO_ENTRY ? undefined : Buffer.from(this.keydir.keyOf(entry)).toString("latin1");
      const isBefore = (other: string) =>
        key === undefined || (walk.up ? other < key : other > key);
      while (walk.seen < walk.expected.length && isBefore(walk.expected[walk.seen]!)) {
        assert.ok(walk.removed.has(walk.expected[walk.seen]!), "no key that stayed is missed");
        walk.seen++;
      }
      if (key === undefined) {
        assert.equal(walk.cursor.next(), NO_ENTRY);
        return;
      }
      assert.equal(this.keydir.versionOf(entry), this.model.get(key), "what is answered lives");
      const isBehind = walk.last === undefined || (walk.up ? key > walk.last : key < walk.last);
      assert.ok(isBehind, "keys go one way, none twice");
      walk.last = key;
      if (walk.expected[walk.seen] === key) walk.seen++;
    }
  }
}

function operations(world: World): fc.Arbitrary<Operation[]> {
  const from = fc.nat(world.keys);
  const count = fc.oneof(fc.nat(5), fc.nat(world.keys / 2));
  const steps = fc.oneof(fc.nat(3), fc.nat(300));
  return fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("put" as const), from, count }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("remove" as const), from, count }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("maintain" as const), steps }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant("open" as const),
          at: from,
          up: fc.boolean(),
          inclusive: fc.boolean(),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant("walk" as const), cursor: fc.nat(9), steps }),
      },
    ),
    { maxLength: 40, size: "max" },
  );
}

const runs = Number(process.env["KVIX_RUNS"] ?? 1) * 12;

for (const world of worlds) {
  test(`the keydir is a sorted map: ${world.name} (I5, I7, I9)`, () => {
    fc.assert(
      fc.property(operations(world), (all) => {
        const pair = new Pair(world);
        for (const operation of all) pair.apply(operation);
        pair.checkAll();
        pair.removeAll();
        assert.equal(pair.keydir.bytes, new Keydir({ seed: new Uint8Array(16) }).bytes);
      }),
      { numRuns: runs },
    );
  });
}
