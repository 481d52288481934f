/**
 * What is remembered of requests through openings, compactions, damage and bounds.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { LocalStore } from "../../../src/engine/local-store.js";
import { openStore, type StoreSeams } from "../../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../../src/engine/options.js";
import { RequestMemory } from "../../../src/engine/requests/request-memory.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";
import { compact } from "../../support/compaction-rig.js";
import { FaultyFileSystem, flipBitAtRest, injectFault } from "../../support/faulty-file-system.js";
import { type SimHost, simHost } from "../../support/sim-host.js";
import { bytes, Rig, rejects } from "../../support/store-rig.js";
import { unpaced } from "../../support/unpaced.js";

const id = (name: string): Uint8Array => bytes(name.padEnd(16, "."));
const add = (store: LocalStore, name: string) =>
  store.increment(bytes("n"), 1n, { requestId: id(name) });

/** Small segments; ids are remembered as long as the watch history. */
const options: StoreOptionsInput = {
  dataDir: "/store",
  segmentBytesMax: 600,
  liftFloors: true,
  diskReserveBytes: 0,
  compaction: "manual",
};

const open = (sim: SimHost, seams: StoreSeams = {}, more: Partial<StoreOptionsInput> = {}) =>
  openStore({ ...options, ...more }, sim, { pacer: unpaced(sim.clock), ...seams });

const fromHints: StoreSeams = { checkpointKeysMin: Number.POSITIVE_INFINITY };
const names = Array.from({ length: 20 }, (_, index) => `request-${index}`);

/** Asserts that each of them is known, and was the how-manieth its name says. */
async function requireKnown(store: LocalStore, known: readonly string[]): Promise<void> {
  for (const name of known) {
    const { value, repeated } = await add(store, name);
    assert.equal(repeated, true, `${name} is known`);
    assert.equal(`request-${value - 1n}`, name);
  }
}

for (const [how, seams, isClean] of [
  ["from hints, after a clean close", fromHints, true],
  ["from the checkpoint", { checkpointKeysMin: 0 }, true],
  ["from hints and the active segment, after a kill", fromHints, false],
] as const) {
  test(`R11 I8: requests are known after an opening: ${how} (G-REQID-5)`, async () => {
    const sim = simHost({ seed: 1 });
    const store = await open(sim, seams);
    for (const name of names) await add(store, name);
    await store.hintsWritten();
    assert.ok(store.segments().length > 3);
    if (isClean) await store.close();
    const files = isClean ? sim.files : sim.files.kill();
    const next = simHost({ seed: 2, files, clock: sim.clock });
    const second = await open(next, seams);
    const { fromCheckpoint, segmentsFromHints } = second.stats().open;
    assert.equal(fromCheckpoint, seams !== fromHints);
    if (seams === fromHints) assert.ok(segmentsFromHints > 2);
    await requireKnown(second, names);
    // And once more: what was taken up is written down again.
    await add(second, "request-20");
    await second.close();
    const third = await open(simHost({ seed: 3, files, clock: sim.clock }), seams);
    await requireKnown(third, [...names, "request-20"]);
    const count = await third.get(bytes("n"));
    assert.equal(Buffer.from(count?.value ?? []).toString(), "21");
    await third.close();
  });
}

test("R7: requests are known where hints are missing (G-REQID-5)", async () => {
  const sim = simHost({ seed: 1 });
  const store = await open(sim, fromHints);
  for (const name of names) await add(store, name);
  await store.close();
  for (const { name } of await sim.files.list("/store/segments")) {
    if (name.endsWith(".hint")) await sim.files.remove(`/store/segments/${name}`);
  }
  const second = await open(sim, fromHints);
  assert.equal(second.stats().open.segmentsFromHints, 0);
  await requireKnown(second, names);
  await second.close();
});

test("M5: a compaction leaves alone what is remembered inside the window, and forgets the rest (G-REQID-6)", async () => {
  const sim = simHost({ seed: 1 });
  const store = await open(sim, {}, { watchRetentionMs: 60_000 });
  for (const name of names.slice(0, 10)) await add(store, name);
  await compact({ store });
  await requireKnown(store, names.slice(0, 10));
  await sim.clock.advance(60_001);
  for (const name of names.slice(10)) await add(store, name);
  await compact({ store });
  await requireKnown(store, names.slice(10));
  const old = await add(store, "request-0");
  assert.equal(old.repeated, false, "its segment is gone");
  assert.equal(old.value, 21n);
  await store.close();
});

test("T6 I2: a clock set forth by an hour takes nothing out of the window (G-REQID-6)", async () => {
  const sim = simHost({ seed: 1 });
  const store = await open(sim, {}, { watchRetentionMs: 60_000 });
  for (const name of names.slice(0, 10)) await add(store, name);
  sim.clock.stepWall(3_600_000);
  await compact({ store });
  await requireKnown(store, names.slice(0, 10));
  await sim.clock.advance(60_001);
  await compact({ store });
  assert.equal((await add(store, "request-0")).repeated, false, "a minute has passed");
  await store.close();
});

test("V13 R4: the end of the log that cannot be read takes nothing out of the window that lies before it (G-REQID-6)", async () => {
  const sim = simHost({ seed: 1 });
  const store = await open(sim, fromHints);
  const added: string[] = [];
  for (const name of names) {
    if (store.segments().length === 2) break;
    await add(store, name);
    added.push(name);
  }
  await store.hintsWritten();
  const next = simHost({ seed: 2, files: sim.files.kill(), clock: sim.clock });
  const refusal = { op: "read", path: /_00001_.*seg$/, sticky: true } as const;
  const files = new FaultyFileSystem(
    next.files,
    injectFault({ kind: "error", code: "EIO" }, refusal),
  );
  const seams = { ...fromHints, pacer: unpaced(sim.clock) };
  const second = await openStore(options, { ...next, files }, seams);
  assert.equal(second.stats().condition.degraded, true);
  await second.set(bytes("other"), bytes("1"), { kind: "never" });
  await compact({ store: second });
  await requireKnown(second, added.slice(0, -1));
  await second.close();
});

test("an id is known as long as anybody writes to its segment inside the window (G-REQID-6)", async () => {
  const sim = simHost({ seed: 1 });
  const store = await open(sim);
  const other = () => store.set(bytes("other"), new Uint8Array(100), { kind: "never" });
  await add(store, "request-0");
  await sim.clock.advance(600_001);
  // The newest frame of a segment says whether it lies inside, not the newest request in it.
  while (store.segments().length === 1) await other();
  await requireKnown(store, ["request-0"]);
  await sim.clock.advance(600_001);
  while (store.segments().length === 2) await other();
  assert.equal((await add(store, "request-0")).repeated, false, "its segment has left the window");
  await store.close();
});

test("V11: at the bound another request with an id is refused, until some leave the window (G-REQID-7)", async () => {
  const sim = simHost({ seed: 1 });
  const store = await open(sim, { requestsMax: 12 }, { watchRetentionMs: 60_000 });
  for (const name of names.slice(0, 12)) await add(store, name);
  const refused = await rejects(add(store, "request-12"), "REQUEST_IDS_FULL", "not-applied");
  assert.equal(refused.metadata["requests_max"], 12);
  await requireKnown(store, names.slice(0, 12));
  await store.increment(bytes("other"), 1n);
  await sim.clock.advance(60_001);
  assert.equal((await add(store, "request-12")).repeated, false);
  await requireKnown(store, ["request-11", "request-12"]);
  await store.close();
});

test("V11: a segment is sealed when it has as many requests as its hint may list (G-REQID-7)", async () => {
  const sim = simHost({ seed: 1 });
  const large = { segmentBytesMax: 1024 * 1024 * 1024 };
  const store = await open(sim, { segmentRequestsMax: 8 }, large);
  for (const name of names) await add(store, name);
  assert.equal(store.segments().length, 3);
  await store.hintsWritten();
  // What an opening finds in the active segment counts, too.
  const next = await open(
    simHost({ seed: 2, files: sim.files.kill(), clock: sim.clock }),
    { ...fromHints, segmentRequestsMax: 8 },
    large,
  );
  assert.equal(next.stats().open.segmentsFromHints, 2);
  await requireKnown(next, names);
  for (let count = 0; count < 5; count += 1) await add(next, `later-${count}`);
  assert.equal(next.segments().length, 4);
  await next.close();
});

test("R2 V13: whichever bit of a batch is wrong, its request is applied no second time (G-REQID-8)", async () => {
  const rig = await Rig.open({ compaction: "manual" });
  await rig.set("before", "1");
  await add(rig.store, "one");
  // A BARRIER frame behind it makes of damage in it rot and no torn tail.
  await rig.set("after", "1");
  const frame = (await rig.frames()).find(({ isBatch }) => isBatch);
  assert.ok(frame);
  await rig.store.close();
  const path = `/store/segments/${frame.segment}`;
  for (let bit = frame.offset * 8; bit < (frame.offset + frame.length) * 8; bit += 3) {
    const sim = simHost({ seed: 2, files: rig.sim.files.fork(), clock: rig.sim.clock });
    await flipBitAtRest(sim.files, path, bit);
    const store = await openStore(rig.options, sim, { pacer: unpaced(sim.clock) });
    const error = await rejects(add(store, "one"), "PREVIOUS_CORRUPT", "applied");
    assert.equal(error.metadata["offset"], frame.offset, `bit ${bit}`);
    assert.equal(store.stats().condition.degraded, true);
    await store.close();
    if (bit % 16 !== 0) continue;
    // So it is when the opening knows the damage from before.
    const again = await openStore(rig.options, sim, { pacer: unpaced(sim.clock) });
    await rejects(add(again, "one"), "PREVIOUS_CORRUPT", "applied");
    await again.close();
  }
});

test("R7 V13: the hint of a segment tells of a request whose batch is damaged (G-REQID-8)", async () => {
  const sim = simHost({ seed: 1 });
  const store = await open(sim, fromHints);
  await add(store, "one");
  const path = `/store/segments/${store.segments()[0]?.file}`;
  const file = await sim.files.open(path, "read");
  await flipBitAtRest(sim.files, path, ((await file.size()) - 5) * 8);
  await file.close();
  // The segment is sealed, and read for its hint.
  while (store.segments().length === 1) await store.increment(bytes("other"), 1n);
  await store.hintsWritten();
  await store.close();
  const next = await open(sim, fromHints);
  assert.equal(next.stats().open.segmentsFromHints, 1);
  await rejects(add(next, "one"), "PREVIOUS_CORRUPT", "applied");
  await next.close();
});

test("V13: damage that a repeat meets ends with its batch, and history behind it goes on (G-REQID-8, G-WATCH-10)", async () => {
  const rig = await Rig.open({ compaction: "manual" });
  await rig.set("before", "1");
  const { version } = await add(rig.store, "one");
  await rig.set("after", "1");
  const frame = (await rig.frames()).find(({ isBatch }) => isBatch);
  assert.ok(frame);
  await flipBitAtRest(rig.sim.files, `/store/segments/${frame.segment}`, (frame.offset + 5) * 8);
  await rejects(add(rig.store, "one"), "PREVIOUS_CORRUPT", "applied");
  assert.equal(rig.store.stats().damage[0]?.lastVersion, version);
  const watch = rig.store.watch({ afterVersion: version });
  await watch.next();
  assert.deepEqual(
    (await watch.next()).value?.events.map((event) => event.version),
    [version + 1],
  );
  await watch.return();
  await rig.store.close();
});

test("a batch that is torn was never applied, and its repeat is the first (G-REQID-5)", async () => {
  const rig = await Rig.open();
  await rig.set("before", "1");
  await add(rig.store, "one");
  const frame = (await rig.frames()).find(({ isBatch }) => isBatch);
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  for (let cut = 0; cut < frame.length; cut += 1) {
    const files = rig.sim.files.fork();
    const file = await files.open(path, "write");
    await file.truncate(frame.offset + cut);
    await file.close();
    const sim = simHost({ seed: 2, files, clock: rig.sim.clock });
    const store = await openStore(rig.options, sim);
    assert.deepEqual(store.stats().damage, []);
    const repeat = await add(store, "one");
    assert.deepEqual([repeat.repeated, repeat.value], [false, 1n], `cut at ${cut}`);
    await store.close();
  }
  await rig.store.close();
});

test("R7 B3: a request whose segment is sealed is known for ten minutes, or for the window if that is longer (G-REQID-6)", () => {
  const minuteMs = 60_000;
  for (const [retentionMs, keptMs] of [
    [0, 10 * minuteMs],
    [minuteMs, 10 * minuteMs],
    [30 * minuteMs, 30 * minuteMs],
  ] as const) {
    let nowMs = 1000;
    const memory = new RequestMemory({
      seed: new Uint8Array(16),
      monotonicMs: () => nowMs,
      retentionMs,
    });
    const directories = { data: "/store", segments: "/store" };
    const segment = new Segment(
      new SegmentName(directories, new Uint8Array(16), "s", 1, 1n),
      undefined,
      true,
    );
    const identities = ["first", "second"].map((name) => {
      return { id: id(name), digest: new Uint8Array(32), name };
    });
    for (const [index, identity] of identities.entries()) {
      memory.publish(identity, { segment, offset: index * 100, length: 100, version: index + 1 });
      nowMs += minuteMs;
    }
    const isKnown = (): boolean[] =>
      identities.map((identity) => memory.find(identity) !== undefined);
    // They are forgotten together: so long after the last.
    for (const [ms, known] of [
      [0, true],
      [keptMs - minuteMs, true],
      [1, false],
    ] as const) {
      nowMs += ms;
      memory.sealed();
      assert.deepEqual(isKnown(), [known, known], `${ms} ms later, of ${keptMs}`);
    }
  }
});
