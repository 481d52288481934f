/** List: which records a page has, when it ends, and what it says of those that it cannot have. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { ListedRecord, ListOptions, ListPage } from "../../src/engine/store.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text, watch } from "../support/store-rig.js";

const KiB = 1024;
const MiB = KiB * KiB;

const keysOf = ({ records }: ListPage): string[] => records.map(({ key }) => text(key));

/** The value of a listed record, or why it has none. */
function shown({ record }: ListedRecord): string {
  return typeof record === "string" ? record : text(record.value);
}

/** All pages of a list, one after the other. */
async function pages(rig: Rig, options: ListOptions = {}): Promise<ListPage[]> {
  const found: ListPage[] = [];
  let after: Uint8Array | undefined;
  do {
    const page = await rig.store.list({ ...options, after });
    found.push(page);
    assert.ok(found.length < 1000, "a list ends");
    after = page.after;
  } while (after !== undefined);
  return found;
}

async function filled(...keys: readonly string[]): Promise<Rig> {
  const rig = await Rig.open();
  await Promise.all(keys.map((key) => rig.set(key, `value of ${key}`)));
  return rig;
}

test("I9: an empty store lists nothing, and a page tells what it knows of each record", async () => {
  const rig = await Rig.open();
  const nothing = { records: [], after: undefined, version: 0 };
  assert.deepEqual(await rig.store.list({}), nothing);
  const { version, expiresAtMs } = await rig.set("a", "1", {
    expiry: { kind: "ttl", ttlMs: 1000 },
  });
  const facts = rig.store.exists(bytes("a"));
  for (const keysOnly of [false, true]) {
    const page = await rig.store.list({ keysOnly });
    assert.equal(page.version, version);
    assert.equal(page.after, undefined);
    const [listed, ...others] = page.records;
    assert.ok(listed !== undefined && others.length === 0);
    assert.equal(text(listed.key), "a");
    assert.deepEqual(
      [listed.version, listed.expiresAtMs, listed.recordBytes],
      [version, expiresAtMs, facts?.recordBytes],
    );
    assert.equal(shown(listed), keysOnly ? "keys-only" : "1");
    if (typeof listed.record !== "string") {
      assert.equal(listed.record.payload.length, facts?.recordBytes);
      assert.equal(listed.record.version, version);
    }
  }
  await rig.store.close();
});

test("a prefix, a start and an end bound a list, up and down", async () => {
  const rig = await filled("a", "b", "ba", "bb", "bc", "c", "\u00ff", "b\u00ff");
  const cases: readonly (readonly [ListOptions, readonly string[]])[] = [
    [{ prefix: bytes("b") }, ["b", "ba", "bb", "bc", "b\u00ff"]],
    [{ prefix: bytes("bb") }, ["bb"]],
    [{ prefix: bytes("nothing") }, []],
    [{ prefix: Buffer.from("bb") }, ["bb"]],
    [{ start: bytes("bb") }, ["bb", "bc", "b\u00ff", "c", "\u00ff"]],
    [{ end: bytes("bb") }, ["a", "b", "ba"]],
    [{ start: bytes("b"), end: bytes("bc") }, ["b", "ba", "bb"]],
    [{ start: bytes("b\0"), end: bytes("bb\0") }, ["ba", "bb"]],
    [{ start: bytes("b"), end: bytes("b") }, []],
    [{ prefix: bytes(""), start: bytes(""), end: bytes("b") }, ["a"]],
  ];
  for (const [range, expected] of cases) {
    const where = JSON.stringify(range);
    assert.deepEqual(keysOf(await rig.store.list(range)), expected, where);
    const down = await rig.store.list({ ...range, reverse: true });
    assert.deepEqual(keysOf(down), expected.toReversed(), `${where} down`);
  }
  await rig.store.close();
});

test("a prefix of bytes 0xff reaches to the last key", async () => {
  const rig = await Rig.open();
  const keys = [[0xfe], [0xff], [0xff, 0x00], [0xff, 0xff], [0xff, 0xff, 0x01]].map((key) =>
    Uint8Array.from(key),
  );
  for (const key of keys) await rig.store.set(key, bytes("1"), { kind: "never" });
  for (const reverse of [false, true]) {
    const one = await rig.store.list({ prefix: Uint8Array.of(0xff), reverse });
    assert.equal(one.records.length, 4);
    const two = await rig.store.list({ prefix: Uint8Array.of(0xff, 0xff), reverse });
    assert.equal(two.records.length, 2);
  }
  const below = await rig.store.list({ prefix: Uint8Array.of(0xfe) });
  assert.equal(below.records.length, 1);
  await rig.store.close();
});

test("a range that makes no sense is refused by the name of the field", async () => {
  const rig = await Rig.open();
  const long = new Uint8Array(65_536);
  const cases: readonly (readonly [ListOptions, string])[] = [
    [{ prefix: long }, "prefix"],
    [{ start: long }, "start"],
    [{ end: long }, "end"],
    [{ prefix: bytes("a"), start: bytes("b") }, "prefix"],
    [{ prefix: bytes("a"), end: bytes("b") }, "prefix"],
    [{ start: bytes("b"), end: bytes("a") }, "end"],
    [{ limit: 0 }, "limit"],
    [{ limit: 10_001 }, "limit"],
    [{ limit: 1.5 }, "limit"],
    [{ bytesMax: 0 }, "bytesMax"],
    [{ bytesMax: 4 * MiB + 1 }, "bytesMax"],
  ];
  for (const [options, field] of cases) {
    const error = await rejects(rig.store.list(options), "FIELD_INVALID");
    assert.equal(error.metadata["field"], field);
  }
  assert.equal(rig.store.stats().pageBytes, 0);
  await rig.store.close();
  await rejects(rig.store.list({}), "STORE_CLOSING");
});

test("pages have as many records as asked for, none twice, and the last one says so", async () => {
  const names = Array.from({ length: 25 }, (_, index) => `key-${String(index).padStart(2, "0")}`);
  const rig = await filled(...names);
  for (const [limit, sizes] of [
    [1, Array(25).fill(1)],
    [10, [10, 10, 5]],
    [24, [24, 1]],
    [25, [25]],
    [26, [25]],
  ] as const) {
    for (const reverse of [false, true]) {
      const found = await pages(rig, { limit, reverse });
      assert.deepEqual(
        found.map(({ records }) => records.length),
        sizes,
      );
      const expected = reverse ? names.toReversed() : names;
      assert.deepEqual(found.flatMap(keysOf), expected);
    }
  }
  await rig.store.close();
});

test("a page has 1,000 records unless it is asked for more, and 10,000 at most", async () => {
  const rig = await Rig.open();
  const mutations = Array.from(
    { length: 10_000 },
    (_, index) =>
      ({ kind: "set", key: bytes(`key-${index}`), value: bytes(String(index)) }) as const,
  );
  await rig.store.commit(mutations);
  await rig.set("one", "more");
  assert.equal((await rig.store.list({})).records.length, 1000);
  const most = await rig.store.list({ limit: 10_000 });
  assert.equal(most.records.length, 10_000);
  assert.ok(most.after);
  assert.deepEqual(
    (await pages(rig, { limit: 10_000, keysOnly: true })).map(({ records }) => records.length),
    [10_000, 1],
  );
  await rig.store.close();
});

test("I9: what has expired or was deleted is not listed, and a page of such alone leads on", async () => {
  const rig = await Rig.open();
  rig.sim.clock.stepWall(120_000); // pauses the sweep
  const expired = Array.from(
    { length: 10_000 },
    (_, index) =>
      ({
        kind: "set",
        key: bytes(`expired-${index}`),
        value: bytes("1"),
        expiry: { kind: "ttl", ttlMs: 100 },
      }) as const,
  );
  await rig.store.commit(expired);
  await rig.store.commit(
    expired.map(({ key, ...rest }) => ({ ...rest, key: bytes(`${text(key)}x`) })),
  );
  await rig.store.commit(
    expired.map(({ key, ...rest }) => ({ ...rest, key: bytes(`${text(key)}y`) })),
  );
  await rig.set("a", "1");
  await rig.set("b", "1");
  await rig.set("z", "1");
  await rig.delete("b");
  assert.equal((await rig.store.list({ limit: 10_000 })).records.length, 10_000);
  rig.sim.clock.stepWall(100);
  const found = await pages(rig);
  assert.deepEqual(found.flatMap(keysOf), ["a", "z"]);
  assert.equal(found.length, 2, "20,000 entries are looked at for one page");
  const down = await pages(rig, { reverse: true });
  assert.deepEqual(down.flatMap(keysOf), ["z", "a"]);
  await rig.store.close();
});

test("I9: a page is one point in time, however long its records take to be read", async () => {
  const rig = await Rig.open();
  const large = "x".repeat(100 * KiB);
  for (const key of ["a", "b", "c", "d", "e", "f"]) await rig.set(key, `${large}${key}1`);
  await rig.set("t", "1", { expiry: { kind: "ttl", ttlMs: 1000 } });
  const { version } = rig.store;
  const gate = new Gate();
  rig.injector = ({ op, path, lengthBytes = 0 }) =>
    op === "read" && segmentFiles.test(path) && lengthBytes > large.length ? gate.fault : undefined;
  const listing = watch(rig.store.list({}));
  await rig.settle();
  assert.ok(gate.held >= 1 && gate.held <= 4);
  await Promise.all([
    rig.set("a", "2"),
    rig.set("aa", "new"),
    rig.delete("f"),
    rig.store.commit([
      { kind: "set", key: bytes("b"), value: bytes("2") },
      { kind: "delete", key: bytes("c") },
    ]),
  ]);
  await rig.sim.clock.advance(2000);
  assert.equal(listing.state, "pending");
  gate.open();
  await rig.settle();
  const page = listing.value;
  assert.ok(page);
  assert.deepEqual(keysOf(page), ["a", "b", "c", "d", "e", "f", "t"]);
  assert.deepEqual(
    page.records.map((listed) => shown(listed).slice(-2)),
    ["a1", "b1", "c1", "d1", "e1", "f1", "1"],
  );
  assert.equal(page.version, version);
  assert.deepEqual(keysOf(await rig.store.list({})), ["a", "aa", "b", "d", "e"]);
  await rig.store.close();
});

test("V14: a page shows nothing that waits for its sync", async () => {
  const rig = await Rig.open();
  await rig.set("a", "old");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const writes = [rig.set("a", "new"), rig.set("b", "1"), rig.delete("a")];
  await rig.settle();
  const { records, version } = await rig.store.list({});
  assert.deepEqual(records.map(shown), ["old"]);
  assert.equal(version, rig.store.version);
  gate.open();
  await Promise.all(writes);
  await rig.store.close();
});

test("a page ends before it is too large, and a record that is too large for any page has no value", async () => {
  const rig = await Rig.open();
  const sizes = { a: 300, b: 300, c: 300, d: 5000, e: 300, f: 10 };
  for (const [key, length] of Object.entries(sizes)) await rig.set(key, key.repeat(length));
  const found = await pages(rig, { bytesMax: 1000 });
  assert.deepEqual(found.map(keysOf), [
    ["a", "b"],
    ["c", "d", "e", "f"],
  ]);
  const listed = found.flatMap(({ records }) => records);
  assert.deepEqual(
    listed.map((each) => shown(each).length),
    [300, 300, 300, "too-large".length, 300, 10],
  );
  assert.equal(shown(listed[3] as ListedRecord), "too-large");
  assert.equal(listed[3]?.recordBytes, rig.store.exists(bytes("d"))?.recordBytes);
  // However small the page may be, it leads on.
  const tiny = await pages(rig, { bytesMax: 1 });
  assert.deepEqual(tiny.map(keysOf), [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]);
  await rig.store.close();
});

for (const valueBytes of [10, 100 * KiB]) {
  test(`V13: a damaged record of ${valueBytes} bytes stands in its page without a value, and hides no other`, async () => {
    const rig = await Rig.open();
    for (const key of ["a", "b", "c"]) await rig.set(key, key.repeat(valueBytes));
    const [, frame] = await rig.frames();
    assert.ok(frame);
    const path = `/store/segments/${frame.segment}`;
    await flipBitAtRest(rig.sim.files, path, (frame.offset + frame.length - 1) * 8);
    const { records } = await rig.store.list({});
    assert.deepEqual(
      records.map((listed) => shown(listed).slice(0, 10)),
      ["a".repeat(10), "unreadable", "c".repeat(10)],
    );
    assert.equal(records[1]?.version, 2);
    assert.equal(rig.store.stats().damage.length, 1);
    assert.deepEqual(
      (await rig.store.list({ keysOnly: true })).records.map(shown),
      Array(3).fill("keys-only"),
    );
    await rig.store.close();
  });

  test(`a record of ${valueBytes} bytes that the disk refuses to read does not fail its page`, async () => {
    const rig = await Rig.open();
    for (const key of ["a", "b", "c"]) await rig.set(key, key.repeat(valueBytes));
    let reads = 0;
    rig.injector = ({ op, path }) => {
      if (op !== "read" || !segmentFiles.test(path)) return undefined;
      reads += 1;
      return reads === 2 ? { kind: "error", code: "EIO" } : undefined;
    };
    const { records } = await rig.store.list({});
    assert.deepEqual(
      records.map((listed) => shown(listed).slice(0, 10)),
      ["a".repeat(10), "unreadable", "c".repeat(10)],
    );
    await rig.store.close();
  });
}

test("V11: pages under way hold 64 MiB, and the others wait their turn", async () => {
  const rig = await Rig.open({ segmentBytesMax: 64 * MiB });
  const large = "x".repeat(3 * MiB);
  await rig.set("a", large);
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
  const caller = new AbortController();
  const lists = Array.from({ length: 30 }, () => watch(rig.store.list({})));
  const leaving = rig.store.list({ signal: caller.signal });
  await rig.settle();
  assert.ok(gate.held > 15 && gate.held < 22, `${gate.held} pages are read`);
  const held = rig.store.stats().pageBytes;
  assert.ok(held > 48 * MiB && held <= 64 * MiB, `${held} bytes`);
  caller.abort();
  await rejects(leaving, "CANCELLED", "none");
  await rejects(rig.store.list({ signal: AbortSignal.abort() }), "CANCELLED", "none");
  gate.open();
  await rig.settle();
  assert.ok(lists.every(({ value }) => value?.records.length === 1));
  assert.equal(rig.store.stats().pageBytes, 0);
  await rig.store.close();
});

test("a page that is given up, or whose store closes, ends; nothing is called damaged", async () => {
  const cases = [
    ["abort", ["a", "b", "c", "d", "e", "f"], "CANCELLED"],
    ["close", ["a", "b", "c", "d", "e", "f"], "STORE_CLOSING"],
    // All of it is being read already, and a close waits for that.
    ["close", ["a", "b", "c", "d"], undefined],
  ] as const;
  for (const [end, keys, reason] of cases) {
    const rig = await Rig.open();
    for (const key of keys) await rig.set(key, "x".repeat(100 * KiB));
    const gate = new Gate();
    rig.injector = ({ op, path }) =>
      op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
    const caller = new AbortController();
    const listing = rig.store.list({ signal: caller.signal });
    const outcome = watch(listing);
    await rig.settle();
    assert.equal(gate.held, 4);
    const closed = end === "close" ? rig.store.close() : undefined;
    if (end === "abort") caller.abort();
    await rig.settle();
    gate.open();
    await closed;
    await rig.settle();
    if (reason !== undefined) await rejects(listing, reason, "none");
    else assert.equal(outcome.value?.records.length, keys.length);
    assert.deepEqual(rig.store.stats().damage, []);
    assert.equal(rig.store.stats().pageBytes, 0);
    await rig.store.close();
  }
});

test("I9 B2: a long page is of one moment, though writes are under way when it is asked for", async () => {
  const keys = Array.from({ length: 1200 }, (_, index) => `k${String(index).padStart(4, "0")}`);
  const rig = await filled(...keys);
  const [first, last] = [keys[0] as string, keys.at(-1) as string];
  for (let round = 0; round < 10; round += 1) {
    const writes = [rig.set(first, "newer"), rig.set(last, "newer")];
    const page = await rig.store.list({ limit: keys.length });
    await Promise.all(writes);
    assert.equal(page.records.length, keys.length);
    const newest = Math.max(...page.records.map(({ version }) => version));
    assert.ok(newest <= page.version, `version ${newest} in a page of version ${page.version}`);
  }
});
