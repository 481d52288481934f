/** Who sees a write, and when: readers, answers and conditions while a sync is under way. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { CommitResult, SetResult, StoredRecord } from "../../src/engine/store.js";
import {
  bytes,
  Gate,
  Rig,
  segmentFiles,
  text,
  versionsOf,
  type Watched,
  watch,
} from "../support/store-rig.js";

/** A rig whose syncs of segments are held from now on. */
async function held(options = {}): Promise<{ rig: Rig; gate: Gate }> {
  const rig = await Rig.open({ flushIntervalMs: 1000, ...options });
  await rig.set("a", "old");
  return { rig, gate: holdNext(rig) };
}

function holdNext(rig: Rig): Gate {
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  return gate;
}

const shown = (record: StoredRecord | undefined): string | undefined =>
  record === undefined ? undefined : text(record.value);

test("V14: a SYNC write is invisible until its sync has returned, to every call alike", async () => {
  const { rig, gate } = await held();
  const version = rig.store.version;
  const answers = [rig.set("a", "new"), rig.set("b", "new"), rig.delete("a")].map((each) =>
    watch<unknown>(each),
  );
  await rig.settle();
  assert.equal(gate.held, 1);
  assert.deepEqual(await rig.values("a", "b"), { a: "old" });
  assert.equal(rig.store.exists(bytes("b")), undefined);
  assert.equal(rig.store.exists(bytes("a"))?.version, version);
  assert.equal(rig.store.version, version);
  assert.equal(rig.store.stats().keys, 1);
  gate.open();
  await rig.settle();
  assert.ok(answers.every(({ state }) => state === "resolved"));
  assert.deepEqual(await rig.values("a", "b"), { b: "new" });
  assert.equal(rig.store.version, version + 3);
  await rig.store.close();
});

test("V14: a BUFFERED write is visible once it is written, and answered at once", async () => {
  const { rig, gate } = await held();
  const { syncs } = rig.store.stats();
  const answer = watch(rig.set("b", "1", { durability: "buffered" }));
  await rig.settle();
  assert.equal(answer.state, "resolved");
  assert.equal(gate.held, 0);
  assert.equal(rig.store.stats().syncs, syncs);
  assert.equal(await rig.get("b"), "1");
  assert.ok(rig.store.stats().durableVersion < rig.store.version);
  gate.open();
  await rig.store.close();
});

test("V14: a BUFFERED write behind a pending SYNC write becomes visible together with it", async () => {
  const { rig, gate } = await held();
  const before = watch(rig.set("before", "1", { durability: "buffered" }));
  const sync = watch(rig.set("sync", "1"));
  const behind = watch(rig.set("behind", "1", { durability: "buffered" }));
  await rig.settle();
  assert.equal(gate.held, 1);
  const later = watch(rig.set("later", "1", { durability: "buffered" }));
  await rig.settle();
  assert.deepEqual(
    [before.state, sync.state, behind.state, later.state],
    ["resolved", "pending", "pending", "pending"],
  );
  assert.deepEqual(await rig.values("before", "sync", "behind", "later"), { before: "1" });
  gate.open();
  await rig.settle();
  const all = { before: "1", sync: "1", behind: "1", later: "1" };
  assert.deepEqual(await rig.values("before", "sync", "behind", "later"), all);
  assert.deepEqual([sync.state, behind.state, later.state], Array(3).fill("resolved"));
  await rig.store.close();
});

test("V14: publication is a prefix of version order, and precedes every answer", async () => {
  const rig = await Rig.open({ segmentBytesMax: 4096 });
  let seen = 0;
  const versions: number[] = [];
  const writes = Array.from({ length: 300 }, async (_, index) => {
    const durability = index % 3 === 0 ? "buffered" : "sync";
    const { version } = await rig.set(`key-${index}`, "x".repeat(50), { durability });
    versions.push(version);
    assert.ok(rig.store.version >= version, "published before it is answered");
    assert.ok(rig.store.version >= seen, "the published version does not go back");
    seen = rig.store.version;
    // A prefix: nothing older than the published version is missing, nothing newer is there.
    for (let other = 0; other < 300; other += 37) {
      const facts = rig.store.exists(bytes(`key-${other}`));
      assert.equal(facts !== undefined, other + 1 <= rig.store.version);
    }
  });
  await Promise.all(writes);
  assert.deepEqual(
    versions,
    versions.toSorted((one, other) => one - other),
  );
  await rig.store.close();
});

test("V14 B2: a batch is visible all at once", async () => {
  const { rig, gate } = await held();
  const keys = Array.from({ length: 50 }, (_, index) => `member-${index}`);
  const batch = watch(
    rig.store.commit([
      ...keys.map((key) => ({ kind: "set", key: bytes(key), value: bytes("1") }) as const),
      { kind: "delete", key: bytes("a") },
    ]),
  );
  await rig.settle();
  const visible = (): number => keys.filter((key) => rig.store.exists(bytes(key))).length;
  assert.equal(visible(), 0);
  assert.equal(await rig.get("a"), "old");
  const counts = new Set<number>();
  const look = watch(
    (async () => {
      while (batch.state === "pending") {
        counts.add(visible() + (rig.store.exists(bytes("a")) ? 100 : 0));
        await Promise.resolve();
      }
    })(),
  );
  gate.open();
  await rig.settle();
  assert.equal(look.state, "resolved");
  counts.delete(100);
  counts.delete(keys.length);
  assert.deepEqual([...counts], [], "no reader sees a part of it");
  assert.equal(visible(), keys.length);
  assert.equal(await rig.get("a"), undefined);
  const [set, gone] = [0, 50].map((index) => batch.value?.results[index]?.version ?? 0);
  assert.equal(gone, (set ?? 0) + 50);
  await rig.store.close();
});

/** Answers that append nothing, and tell of a write that is accepted and not yet durable. */
const observations: readonly {
  readonly name: string;
  readonly pending: (rig: Rig, durability: "sync" | "buffered") => Promise<unknown>;
  readonly observe: (rig: Rig, durability?: "sync" | "buffered") => Promise<unknown>;
  readonly expect: (answer: never) => void;
}[] = [
  {
    name: "applied = false, because the key is there",
    pending: (rig, durability) => rig.set("b", "1", { durability }),
    observe: (rig, durability) =>
      rig.set("b", "2", { condition: { kind: "absent" }, ...(durability && { durability }) }),
    expect: ({ applied, version, current }: SetResult) => {
      assert.deepEqual([applied, version, shown(current)], [false, 0, "1"]);
    },
  },
  {
    name: "applied = false, because the key is gone",
    pending: (rig, durability) => rig.delete("a", { durability }),
    observe: (rig, durability) =>
      rig.set("a", "2", { condition: { kind: "present" }, ...(durability && { durability }) }),
    expect: ({ applied, current }: SetResult) =>
      assert.deepEqual([applied, current], [false, undefined]),
  },
  {
    name: "deleted = false",
    pending: (rig, durability) => rig.delete("a", { durability }),
    observe: (rig, durability) => rig.delete("a", durability && { durability }),
    expect: ({ deleted }: { deleted: boolean }) => assert.equal(deleted, false),
  },
  {
    name: "a batch of deletes that finds nothing",
    pending: (rig, durability) => rig.delete("a", { durability }),
    observe: (rig, durability) =>
      rig.store.commit([{ kind: "delete", key: bytes("a") }], durability && { durability }),
    expect: ({ results }: CommitResult) => assert.deepEqual(versionsOf(results), [0]),
  },
];

for (const { name, pending, observe, expect } of observations) {
  test(`V14: a SYNC answer that depends on a pending SYNC write waits for it: ${name}`, async () => {
    const { rig, gate } = await held();
    const write = watch(pending(rig, "sync"));
    await rig.settle();
    const answers = [watch(observe(rig)), watch(observe(rig, "buffered"))];
    await rig.settle();
    assert.equal(write.state, "pending");
    // Nor may a BUFFERED answer tell of what nobody may see.
    assert.deepEqual(
      answers.map(({ state }) => state),
      ["pending", "pending"],
    );
    gate.open();
    await rig.settle();
    for (const { state, value } of answers) {
      assert.equal(state, "resolved");
      expect(value as never);
    }
    await rig.store.close();
  });

  test(`V14: a SYNC answer that depends on a BUFFERED write makes it durable first: ${name}`, async () => {
    const { rig, gate } = await held();
    const write = watch(pending(rig, "buffered"));
    await rig.settle();
    assert.equal(write.state, "resolved");
    const quick = watch(observe(rig, "buffered"));
    await rig.settle();
    assert.equal(quick.state, "resolved", "a BUFFERED answer does not wait");
    expect(quick.value as never);
    const { bytesAppended } = rig.store.stats();
    const answer = watch(observe(rig));
    await rig.settle();
    assert.equal(answer.state, "pending");
    assert.equal(gate.held, 1, "it has started a sync");
    gate.open();
    await rig.settle();
    expect(answer.value as never);
    assert.equal(rig.store.stats().bytesAppended, bytesAppended, "it appends nothing");
    assert.equal(rig.store.stats().durableVersion, rig.store.version);
    await rig.store.close();
  });
}

test("V14: an answer about durable state waits for nothing", async () => {
  const { rig, gate } = await held();
  const pending = watch(rig.set("other", "1"));
  await rig.settle();
  const answers: Watched<unknown>[] = [
    watch(rig.set("a", "2", { condition: { kind: "absent" } })),
    watch(rig.delete("a", { condition: { kind: "version", version: 77 } })),
  ];
  await rig.settle();
  assert.equal(pending.state, "pending");
  assert.deepEqual(
    answers.map(({ state }) => state),
    ["resolved", "resolved"],
  );
  gate.open();
  await rig.store.close();
});

test("V14: conditions see the newest accepted state: of two absent sets one wins", async () => {
  const { rig, gate } = await held();
  const condition = { kind: "absent" } as const;
  const [one, other] = [rig.set("b", "one", { condition }), rig.set("b", "other", { condition })];
  await rig.settle();
  gate.open();
  const [won, lost] = await Promise.all([one, other]);
  assert.deepEqual([won.applied, lost.applied], [true, false]);
  assert.equal(shown(lost.current), "one");
  assert.equal(lost.current?.version, won.version);
  assert.equal(await rig.get("b"), "one");
  await rig.store.close();
});

test("V14: the previous record may be one that is pending; it is the one that was replaced", async () => {
  const { rig, gate } = await held({ segmentBytesMax: 200 });
  const options = { returnPrevious: true };
  const answers = [
    rig.set("b", "1", options),
    rig.set("b", "2", options),
    rig.delete("b", options),
    rig.set("b", "x".repeat(150), options),
    rig.set("b", "y".repeat(150), { ...options, durability: "buffered" }),
    rig.set("a", "new", options),
  ];
  const watched = answers.map((answer) => watch<unknown>(answer));
  await rig.settle();
  assert.ok(watched.every(({ state }) => state === "pending"));
  gate.open();
  const previous = (await Promise.all(answers)).map((answer) => shown(answer.previous));
  assert.deepEqual(previous, [undefined, "1", "2", undefined, "x".repeat(150), "old"]);
  await rig.store.close();
});

test("V14 V1: of several conditions the newest that is looked at is durable before the answer, wherever it stands", async () => {
  for (const last of [false, true]) {
    const { rig, gate } = await held();
    await rig.set("b", "pending", { durability: "buffered" });
    const conditions = [
      { key: bytes("b"), condition: { kind: "absent" } as const },
      { key: bytes("a"), condition: { kind: "present" } as const },
    ];
    const answer = watch(
      rig.store.commit([], { conditions: last ? conditions.reverse() : conditions }),
    );
    await rig.settle();
    assert.deepEqual([answer.state, gate.held], ["pending", 1]);
    gate.open();
    await rig.settle();
    assert.equal(answer.value?.applied, false);
    await rig.store.close();
  }
});
