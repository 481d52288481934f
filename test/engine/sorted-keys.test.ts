/** Keys in order, against a sorted array. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { SortedKeys } from "../../src/engine/snapshots/sorted-keys.js";
import { SimRandom } from "../support/sim-random.js";

const makers: Readonly<Record<string, (random: SimRandom, count: number) => string>> = {
  ascending: (_, count) => String(100_000 + count),
  descending: (_, count) => String(200_000 - count),
  scattered: (random) => String.fromCharCode(...random.bytes(1 + random.below(4))),
};

for (const [what, make] of Object.entries(makers)) {
  test(`I9: keys that come ${what} and go at random are sought as in a sorted array`, () => {
    const random = new SimRandom(7);
    const keys = new SortedKeys();
    const known = new Set<string>();
    const check = (): void => {
      const sorted = [...known].sort();
      for (let count = 0; count < 300; count += 1) {
        const key = random.chance(0.5) && sorted.length > 0 ? random.pick(sorted) : make(random, 0);
        const above = sorted.find((each) => each > key);
        assert.equal(keys.above(key, false), above);
        assert.equal(keys.above(key, true), known.has(key) ? key : above);
        assert.equal(
          keys.below(key),
          sorted.findLast((each) => each < key),
        );
      }
      assert.equal(keys.above(undefined, true), sorted[0]);
      assert.equal(keys.below(undefined), sorted.at(-1));
    };
    check();
    for (let count = 0; count < 4000; count += 1) {
      const key = make(random, count);
      if (!known.has(key)) keys.add(key);
      known.add(key);
    }
    check();
    while (known.size > 0) {
      for (const key of [...known].filter(() => random.chance(0.6))) {
        keys.remove(key);
        known.delete(key);
      }
      check();
    }
    assert.throws(() => keys.remove("gone"), /not there/);
  });
}
