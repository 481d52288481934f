/**
 * The bytes of a call are its caller's: the store does not change them, and does
 * not look at them again once the call has gone on without it. Both also where
 * they come as a Buffer, whose `slice` shares its bytes instead of copying them.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { bytes, Gate, Rig, segmentFiles, text } from "../support/store-rig.js";

const never = { kind: "never" } as const;

/** The same bytes in every dress that a caller may give them; each a piece of something larger. */
const dresses: Readonly<Record<string, (value: string) => Uint8Array>> = {
  "a Uint8Array": (value) => bytes(`<${value}>`).subarray(1, -1),
  "a Buffer": (value) => Buffer.from(`<${value}>`).subarray(1, -1),
};

for (const [name, dress] of Object.entries(dresses)) {
  test(`no call changes the bytes that it is given as ${name}`, async () => {
    const rig = await Rig.open();
    const given = ["a", "b", "c", "a", "c", "b", "aa", "value"].map(dress);
    const before = given.map(text);
    const [one, other, third, start, end, after, prefix, value] = given as [
      ...[Uint8Array, Uint8Array, Uint8Array, Uint8Array],
      ...[Uint8Array, Uint8Array, Uint8Array, Uint8Array],
    ];
    await rig.store.set(one, value, never);
    await rig.store.commit([
      { kind: "set", key: other, value },
      { kind: "delete", key: third },
    ]);
    await rig.store.set(prefix, value, never);
    await rig.store.touch(other, { kind: "ttl", ttlMs: 1000 });
    await rig.store.get(one);
    rig.store.exists(one);
    const keysOf = async (options: Parameters<typeof rig.store.list>[0]): Promise<string[]> =>
      (await rig.store.list(options)).records.map(({ key }) => text(key));
    for (const reverse of [false, true]) {
      const ordered = (keys: string[]): string[] => (reverse ? keys.reverse() : keys);
      assert.deepEqual(await keysOf({ prefix, reverse }), ["aa"]);
      assert.deepEqual(await keysOf({ prefix: one, reverse }), ordered(["a", "aa"]));
      assert.deepEqual(await keysOf({ start, end, reverse }), ordered(["a", "aa", "b"]));
      assert.deepEqual(await keysOf({ after, reverse }), reverse ? ["aa", "a"] : []);
    }
    await rig.store.delete(one);
    assert.deepEqual(given.map(text), before);
    await rig.store.close();
  });

  test(`a read is of the key that was asked for, though its ${name} is used again meanwhile (V13)`, async () => {
    const rig = await Rig.open();
    await rig.set("key", "x".repeat(100_000));
    const gate = new Gate();
    rig.injector = ({ op, path }) =>
      op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
    const key = dress("key");
    const reading = rig.store.get(key);
    await rig.settle();
    assert.equal(gate.held, 1);
    key.fill(0x7a);
    gate.open();
    const record = await reading;
    assert.equal(record?.value.length, 100_000);
    assert.deepEqual(rig.store.stats().damage, [], "nothing is called damaged");
    await rig.store.close();
  });

  test(`a page is of the range that was asked for, though its ${name} is used again before its turn (I9)`, async () => {
    const rig = await Rig.open();
    for (const key of ["a1", "a2", "a3"]) await rig.set(key, "1");
    await rig.set("z", "x".repeat(4_100_000));
    const gate = new Gate();
    rig.injector = ({ op, path }) =>
      op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
    // They take all of the memory that pages may have, so the next one waits.
    const large = Array.from({ length: 16 }, () => rig.store.list({ prefix: bytes("z") }));
    const prefix = dress("a");
    const after = dress("a1");
    const listing = rig.store.list({ prefix, after, limit: 1 });
    await rig.settle();
    assert.ok(rig.store.stats().pageBytes > 60_000_000);
    prefix.fill(0x7a);
    after.fill(0x7a);
    gate.open();
    await Promise.all(large);
    const page = await listing;
    assert.deepEqual(
      page.records.map(({ key }) => text(key)),
      ["a2"],
    );
    await rig.store.close();
  });

  test(`what a commit found under the key of a condition stays, though its ${name} is used again`, async () => {
    const rig = await Rig.open();
    await rig.set("a", "1");
    const key = dress("a");
    const committing = rig.store.commit([{ kind: "delete", key: bytes("b") }], {
      conditions: [{ key, condition: { kind: "absent" } }],
    });
    const { unmet } = await committing;
    key.fill(0x7a);
    assert.deepEqual(
      unmet.map(({ current }) => current && text(current.key)),
      ["a"],
    );
    await rig.store.close();
  });
}
