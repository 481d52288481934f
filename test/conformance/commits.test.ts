/** Changes that are made together, and numbers, wherever the store is. */
import assert from "node:assert/strict";
import { conforms, refusal } from "./suite.js";

const id = (letter: string): Uint8Array => Buffer.from(letter.repeat(16));

conforms(
  "a commit makes all its changes, and tells what became of each (G-CLIENT-1)",
  async ({ store }) => {
    await store.set("gone", "x");
    const touched = await store.set("touched", "x", { ttlMs: 60_000 });
    const result = await store.commit(
      [
        { kind: "set", key: "a", value: "1", ttlMs: 60_000 },
        { kind: "delete", key: "gone" },
        { kind: "delete", key: "never there" },
        { kind: "touch", key: "touched", persist: true },
        { kind: "increment", key: "n", delta: 5n, initial: 37 },
      ],
      {
        conditions: [
          { key: "touched", ifVersion: touched.version },
          { key: "b", ifAbsent: true },
        ],
      },
    );
    assert.equal(result.applied, true);
    assert.equal(result.repeated, false);
    const [set, gone, absent, touch, increment] = result.results;
    assert.ok(set?.expireTime instanceof Date);
    assert.deepEqual([gone?.found, absent?.found, absent?.version], [true, false, 0]);
    assert.deepEqual([touch?.found, touch?.expireTime], [true, undefined]);
    assert.equal(increment?.value, 42n);
    assert.equal((await store.get("n"))?.text(), "42");
    assert.equal((await store.get("n"))?.version, increment?.version);
    assert.equal(await store.exists("gone"), false);
  },
);

conforms(
  "a commit of which a condition does not hold changes nothing, and tells which",
  async ({ store }) => {
    await store.set("k", "here");
    const result = await store.commit([{ kind: "set", key: "other", value: "x" }], {
      conditions: [
        { key: "k", ifPresent: true },
        { key: "k2", ifPresent: true },
        { key: "k3", ifAbsent: true },
      ],
    });
    assert.equal(result.applied, false);
    assert.deepEqual(result.results, []);
    assert.deepEqual(
      result.unmet.map(({ index, current }) => [index, current]),
      [[1, undefined]],
    );
    const again = await store.commit([], { conditions: [{ key: "k", ifAbsent: true }] });
    assert.equal(again.unmet[0]?.current?.record?.text(), "here");
    assert.equal(await store.exists("other"), false);
  },
);

conforms(
  "a number is added to, from what it counts as while it is absent (G-CLIENT-1)",
  async ({ store }) => {
    assert.equal((await store.increment("n")).value, 1n);
    assert.equal((await store.increment("n", -11)).value, -10n);
    const far = await store.increment("far", 2n ** 62n, { initial: 2n ** 62n - 1n, ttlMs: 60_000 });
    assert.equal(far.value, 2n ** 63n - 1n);
    assert.ok(far.expireTime instanceof Date);
    assert.deepEqual((await store.increment("far", 0)).expireTime, far.expireTime);
    await refusal(store.increment("far"), "NUMBER_OVERFLOW");
    await store.set("text", "seven");
    await refusal(store.increment("text"), "NOT_A_NUMBER");
    const half = await refusal(store.increment("n", 0.5), "FIELD_INVALID");
    assert.equal(half.metadata["field"], "delta");
  },
);

conforms(
  "a request that is repeated by its id changes nothing, and is answered as the first was (G-CLIENT-11)",
  async ({ store }) => {
    const first = await store.increment("n", 1, { requestId: id("a") });
    const repeat = await store.increment("n", 1, { requestId: id("a") });
    assert.deepEqual(repeat, { ...first, repeated: true });
    assert.equal((await store.get("n"))?.text(), "1");
    const changes = [{ kind: "set", key: "k", value: "v" }] as const;
    const commit = await store.commit(changes, { requestId: id("b") });
    await store.delete("k");
    const again = await store.commit(changes, { requestId: id("b") });
    assert.deepEqual(again, { ...commit, repeated: true });
    assert.equal(await store.exists("k"), false);
    await refusal(store.increment("n", 2, { requestId: id("a") }), "REQUEST_ID_REUSED");
  },
);

conforms("a commit that is wrong is refused whole, by field", async ({ store }) => {
  const twice = [
    { kind: "delete", key: "k" },
    { kind: "delete", key: "k" },
  ] as const;
  await refusal(store.commit(twice), "FIELD_INVALID");
  await refusal(store.commit([]), "FIELD_INVALID");
  await refusal(store.commit([{ kind: "touch", key: "k" }]), "FIELD_INVALID");
  await refusal(store.commit([], { conditions: [{ key: "k" }] }), "FIELD_INVALID");
  const short = { requestId: new Uint8Array(15) };
  await refusal(store.commit([{ kind: "delete", key: "k" }], short), "FIELD_INVALID");
});

conforms("a watcher sees a commit as one batch", async ({ store }) => {
  const watch = store.watch({ prefix: "w/" });
  await watch.next();
  await store.commit([
    { kind: "set", key: "w/1", value: "a" },
    { kind: "set", key: "w/2", value: "b" },
  ]);
  for (;;) {
    const { value } = await watch.next();
    const keys = value?.events.map((event) => event.keyText());
    if (keys?.length === 0) continue;
    assert.deepEqual(keys, ["w/1", "w/2"]);
    break;
  }
  await watch.return(undefined);
});
