/** Increment: the number, its frame, and many of them at once. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { bytes, Rig, rejects } from "../support/store-rig.js";

test("of increments that meet none is lost, and each is answered with its own sum (G-INC-1)", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 4096 });
  const sums = await Promise.all(
    Array.from({ length: 300 }, (_, index) =>
      index % 3 === 0
        ? rig.store.increment(bytes("n"), 1n, { durability: "buffered" })
        : rig.store.increment(bytes("n"), 1n),
    ),
  );
  const told = sums.map(({ value }) => value);
  assert.deepEqual(
    told,
    Array.from({ length: 300 }, (_, index) => BigInt(index + 1)),
  );
  await rig.store.sync();
  const next = await rig.powerCut();
  assert.equal(await next.get("n"), "300");
  await next.store.close();
});

test("an increment without an id is an ordinary frame, with one a batch of one", async () => {
  const rig = await Rig.open();
  await rig.store.increment(bytes("n"), 1n);
  await rig.store.increment(bytes("n"), 1n, { requestId: new Uint8Array(64).fill(9) });
  const frames = (await rig.frames()).map(({ isBatch, records }) => [isBatch, records.length]);
  assert.deepEqual(frames, [
    [false, 1],
    [true, 1],
  ]);
  await rig.store.close();
});

test("a value that is too long for a number is refused unread (G-INC-2)", async () => {
  const rig = await Rig.open();
  await rig.set("n", "1".repeat(200));
  let reads = 0;
  rig.injector = ({ op }) => {
    if (op === "read") reads += 1;
    return undefined;
  };
  await rejects(rig.store.increment(bytes("n"), 1n), "NOT_A_NUMBER", "not-applied");
  assert.equal(reads, 0);
  await rig.store.close();
});

test("an increment is refused with a field that is out of range, by name", async () => {
  const rig = await Rig.open();
  const wrong = [
    [rig.store.increment(bytes("n"), 2n ** 63n), "delta"],
    [rig.store.increment(bytes("n"), 1n, { initial: -(2n ** 63n) - 1n }), "initial"],
    [rig.store.increment(bytes("n"), 1n, { expiry: { kind: "ttl", ttlMs: 0 } }), "ttl"],
    [rig.store.increment(bytes("n"), 1n, { requestId: new Uint8Array(15) }), "request_id"],
  ] as const;
  for (const [call, field] of wrong) {
    assert.equal((await rejects(call, "FIELD_INVALID")).metadata["field"], field);
  }
  const key = new Uint8Array(65_536);
  await rejects(rig.store.increment(key, 1n), "KEY_TOO_LARGE", "not-applied");
  await rig.store.close();
});
