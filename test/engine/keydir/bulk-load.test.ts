/** The bulk load of the keydir against a Map: what it holds, counts, orders, and lets be changed afterwards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Keydir, NO_ENTRY } from "../../../src/engine/keydir/keydir.js";
import { SimRandom } from "../../support/sim-random.js";

/** The newest record of a key. */
interface Row {
  readonly version: number;
  readonly segment: number;
  readonly length: number;
}

interface World {
  readonly name: string;
  readonly keys: number;
  readonly keyOf: (number: number) => string;
  readonly hash?: (key: Uint8Array) => number;
}

const scattered = (number: number): number => Math.imul(number + 1, 0x9e3779b1) >>> 0;
const word = (number: number): string =>
  Buffer.from(Uint32Array.of(number).buffer).toString("latin1");

const worlds: readonly World[] = [
  { name: "random keys", keys: 20_000, keyOf: (i) => word(scattered(i)) + word(i) },
  {
    name: "keys that zeros alone tell apart, and keys that end early",
    keys: 5_000,
    keyOf: (i) => (i < 700 ? `p${"\0".repeat(i)}` : `tenant:long-prefix:${word(scattered(i))}`),
  },
  { name: "ascending keys", keys: 20_000, keyOf: (i) => `k${String(i).padStart(9, "0")}` },
  { name: "few keys", keys: 300, keyOf: (i) => `few${i}` },
  {
    name: "eight hashes for all",
    keys: 9_000,
    keyOf: (i) => word(scattered(i)) + word(i),
    hash: (key) => (key[0]! & 7) << 13,
  },
  {
    name: "hashes that meet twenty at a time",
    keys: 9_000,
    keyOf: (i) => word(i) + word(scattered(i)),
    hash: (key) => Math.imul(Math.floor(Buffer.from(key).readUInt32LE(0) / 20) + 1, 0x9e3779b1),
  },
];

for (const { name, keys, keyOf, hash } of worlds) {
  test(`I5 I7 I8 V5 a load keeps the newest entry of each key and their order: ${name}`, () => {
    const random = new SimRandom(keys);
    const keydir = new Keydir({
      seed: new Uint8Array(16).fill(7),
      ...(hash === undefined ? {} : { hash }),
    });
    const model = new Map<string, Row>();
    let replacedBytes = 0;
    let offeredBytes = 0;
    const load = keydir.load((_segment, length) => {
      replacedBytes += length;
    });
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < keys; i++) {
        const key = keyOf(random.below(keys));
        const version = 2 ** 33 + random.below(1_000_000);
        const segment = random.below(65_536);
        const length = 1 + random.below(1000);
        const source = Buffer.from(`..${key}.`, "latin1");
        load.add(source, 2, source.length - 1, segment, i, length, 0, version);
        offeredBytes += length;
        const known = model.get(key);
        if (known === undefined || known.version < version) {
          model.set(key, { version, segment, length });
        }
      }
      load.flush();
      requireEqual(keydir, model);
      let liveBytes = 0;
      for (const { length } of model.values()) liveBytes += length;
      assert.equal(offeredBytes - replacedBytes, liveBytes);
    }
    // And it is a keydir like any other: removals, overwrites, new keys, upkeep.
    for (const key of [...model.keys()].filter((_, index) => index % 3 === 0)) {
      keydir.remove(keydir.find(Buffer.from(key, "latin1")));
      model.delete(key);
    }
    for (let i = 0; i < keys; i += 5) {
      const key = keyOf(i);
      const source = Buffer.from(key, "latin1");
      keydir.put(source, 0, source.length, 9, 9, 9, 0, 2 ** 40 + i);
      model.set(key, { version: 2 ** 40 + i, segment: 9, length: 9 });
    }
    while (keydir.maintain());
    requireEqual(keydir, model);
  });
}

test("V5 of two entries of a key with one version the first stays", () => {
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const replaced: number[] = [];
  const load = keydir.load((segment) => replaced.push(segment));
  const key = Buffer.from("key");
  load.add(key, 0, 3, 1, 0, 10, 0, 5);
  load.add(key, 0, 3, 2, 0, 10, 0, 5);
  load.flush();
  load.add(key, 0, 3, 3, 0, 10, 0, 5);
  load.flush();
  assert.deepEqual(replaced, [2, 3]);
  assert.equal(keydir.segmentOf(keydir.find(key)), 1);
});

test("T8 entries that a load has replaced leave no expiry behind", () => {
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const load = keydir.load(() => undefined);
  for (let i = 0; i < 4_000; i++) {
    const key = Buffer.from(`key${i % 2_000}`);
    load.add(key, 0, key.length, 1, 0, 10, i < 2_000 ? 1_000 : 0, i + 1);
  }
  load.flush();
  assert.equal(keydir.expiring, 0);
  const due: number[] = [];
  while (keydir.soonestDue(5_000, 100, (entry) => due.push(entry)));
  assert.deepEqual(due, []);
});

function requireEqual(keydir: Keydir, model: ReadonlyMap<string, Row>): void {
  assert.equal(keydir.count, model.size);
  for (const [key, { version, segment, length }] of model) {
    const entry = keydir.find(Buffer.from(key, "latin1"));
    assert.notEqual(entry, NO_ENTRY);
    assert.equal(keydir.versionOf(entry), version);
    assert.equal(keydir.segmentOf(entry), segment);
    assert.equal(keydir.lengthOf(entry), length);
  }
  const ordered: string[] = [];
  const cursor = keydir.first();
  for (let entry = cursor.next(); entry !== NO_ENTRY; entry = cursor.next()) {
    ordered.push(Buffer.from(keydir.keyOf(entry)).toString("latin1"));
  }
  assert.deepEqual(
    ordered,
    [...model.keys()].sort((one, other) => (one < other ? -1 : 1)),
  );
}
