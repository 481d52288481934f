/** Which of many ranges a key lies in, held against looking at each of them. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { boundsOf, compareKeys, type KeyBounds } from "../../../src/engine/key-range.js";
import { KeyIntervals } from "../../../src/engine/watch/key-intervals.js";
import { SimRandom } from "../../support/sim-random.js";
import { bytes } from "../../support/store-rig.js";

interface Item {
  readonly name: number;
  readonly bounds: KeyBounds;
}

function boundsAtRandom(random: SimRandom): KeyBounds {
  const key = (): Uint8Array => random.bytes(1 + random.below(3)).map((byte) => byte & 3);
  if (random.chance(0.1)) return { low: undefined, high: undefined };
  if (random.chance(0.4)) return boundsOf({ prefix: key() });
  const [low, high] = [key(), key()].sort(compareKeys);
  if (random.chance(0.2)) return { low, high: undefined };
  if (random.chance(0.2)) return { low: undefined, high };
  return { low, high };
}

test("ranges that a key lies in are found, each once, and no other", () => {
  let hits = 0;
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = new SimRandom(seed);
    const items = Array.from({ length: random.below(40) }, (_, name): Item => {
      return { name, bounds: boundsAtRandom(random) };
    });
    const intervals = new KeyIntervals(items);
    for (let count = 0; count < 100; count += 1) {
      const key = random.bytes(1 + random.below(4)).map((byte) => byte & 3);
      const found: number[] = [];
      intervals.find(key, ({ name }) => found.push(name));
      const wanted = items.filter(({ bounds: { low, high } }) => {
        const isAbove = low === undefined || compareKeys(low, key) <= 0;
        return isAbove && (high === undefined || compareKeys(high, key) > 0);
      });
      assert.deepEqual(
        found.sort((one, other) => one - other),
        wanted.map(({ name }) => name),
      );
      hits += found.length;
    }
  }
  assert.ok(hits > 5000, `${hits}`);
});

test("V11: a key in none of a thousand ranges is held against a few of them", () => {
  let looks = 0;
  const items = Array.from({ length: 1000 }, (_, at) => {
    const { low, high } = boundsOf({ prefix: bytes(`range-${at}/`) });
    return {
      get bounds() {
        looks += 1;
        return { low, high };
      },
    };
  });
  const intervals = new KeyIntervals(items);
  for (const key of ["a", "range-500", "range-7777/x", "z"]) {
    looks = 0;
    intervals.find(bytes(key), () => assert.fail("it lies in none"));
    assert.ok(looks <= 20, `${looks} ranges were looked at for ${key}`);
  }
});
