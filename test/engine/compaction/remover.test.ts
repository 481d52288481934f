/** The end of segments: what goes, in which order, what waits for whom, and what stays after a failure. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  type Manifest,
  ManifestSchema,
  SegmentSchema,
  SegmentState,
} from "../../../gen/kvix/v1/kvix_pb.js";
import { Remover } from "../../../src/engine/compaction/remover.js";
import { Latch } from "../../../src/engine/latch.js";
import type { FileSystem } from "../../../src/host/file-system.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";
import { SegmentSet } from "../../../src/storage/segment-set.js";
import { FaultyFileSystem, injectFault } from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { watch } from "../../support/store-rig.js";

const directories = { data: "/d", segments: "/d" };
const storeId = new Uint8Array(16);
const { ACTIVE, SEALED, PENDING, REMOVED } = SegmentState;
const nameOf = (id: number, timestampNs = BigInt(id + 1)): SegmentName =>
  new SegmentName(directories, storeId, "segment", id, timestampNs);

/** A store of segments with these states by their ids, each of 10 bytes times its id and with a hint. */
async function setUp(states: Readonly<Record<number, SegmentState>>) {
  const host = simHost({ seed: 1 });
  await host.files.makeDirectory("/d");
  const lay = async (path: string): Promise<void> =>
    (await host.files.open(path, "create")).close();
  const segments = new SegmentSet();
  const manifest = { current: create(ManifestSchema, { storeId }) };
  for (const [text, state] of Object.entries(states)) {
    const id = Number(text);
    const { prefix, timestampNs: timestamp, path, hintPath } = nameOf(id);
    manifest.current.segments.push(create(SegmentSchema, { id, prefix, timestamp, state }));
    await lay(path);
    await lay(hintPath);
  }
  const files = new FaultyFileSystem(host.files);
  const trace: string[] = [];
  const trouble = { injector: undefined as ReturnType<typeof injectFault> | undefined };
  files.injector = (operation) => {
    const { op, path } = operation;
    if (op !== "list")
      trace.push(`${op} ${path.replace(/\/d\/segment_0000/, "").replace(/_\d+/, "")}`);
    return trouble.injector?.(operation);
  };
  const waits = new Map<Segment, (isReleased: boolean) => void>();
  const asked: Segment[] = [];
  const readers = {
    released: (segment: Segment, signal: AbortSignal): Promise<boolean> => {
      asked.push(segment);
      return new Promise((resolve) => {
        waits.set(segment, resolve);
        signal.addEventListener("abort", () => resolve(false));
      });
    },
  };
  const keeper = {
    change: async (edit: (draft: Manifest) => void) => {
      trace.push("manifest");
      const draft = { ...manifest.current, segments: [...manifest.current.segments] };
      edit(draft);
      manifest.current = draft;
    },
  };
  let checks = 0;
  const latch = new Latch(host.log);
  const remover = new Remover({
    ...{ host: { ...host, files: files as FileSystem }, directories, segments, latch, readers },
    ...{ manifest: manifest as never, keeper: keeper as never },
    space: { check: () => (checks += 1) } as never,
  });
  const member = (id: number, timestampNs?: bigint): Segment => {
    const closing = { close: async () => void trace.push(`close ${id}`) };
    const segment = new Segment(nameOf(id, timestampNs), closing as never, true);
    segment.length = id * 10;
    segments.add(segment);
    return segment;
  };
  const left = async (): Promise<string[]> =>
    (await host.files.list("/d")).map(({ name }) => name.replace("segment_0000", "")).sort();
  const listed = (): number[] => manifest.current.segments.map(({ id }) => id);
  return {
    ...{ host, segments, remover, latch, trace, trouble, waits, asked, member, left, listed },
    checks: () => checks,
  };
}

test("M5 M10 I3: a segment goes when its last reader has left: file, hint, and last its name in the manifest", async () => {
  const rig = await setUp({ 1: SEALED, 2: REMOVED });
  const { remover, trace, host } = rig;
  const segment = rig.member(2);
  const leaving = watch(remover.dismiss([segment]));
  await host.clock.settle();
  assert.deepEqual([leaving.state, trace, remover.pinnedBytes], ["pending", [], 20]);
  assert.equal(rig.segments.find(2), segment);
  rig.waits.get(segment)?.(true);
  await host.clock.settle();
  assert.equal(leaving.state, "resolved");
  assert.deepEqual(trace, [
    "close 2",
    ...["remove 2.seg", "remove 2.hint", "remove 2.hint.tmp", "syncDirectory /d", "manifest"],
  ]);
  assert.deepEqual([rig.segments.find(2), rig.listed()], [undefined, [1]]);
  assert.deepEqual(await rig.left(), ["1_2.hint", "1_2.seg"]);
  assert.deepEqual([remover.pinnedBytes, remover.segmentsRemoved, rig.checks()], [0, 1, 1]);
});

test("M10: segments that go together wait for those who were there, all from the beginning, and go together", async () => {
  const rig = await setUp({ 1: REMOVED, 2: REMOVED });
  const both = [rig.member(1), rig.member(2)] as const;
  const leaving = rig.remover.dismiss(both);
  assert.deepEqual([rig.asked, rig.remover.pinnedBytes], [both, 30]);
  rig.waits.get(both[1])?.(true);
  await rig.host.clock.settle();
  assert.deepEqual(rig.trace, []);
  rig.waits.get(both[0])?.(true);
  await leaving;
  assert.deepEqual([await rig.left(), rig.listed(), rig.remover.segmentsRemoved], [[], [], 2]);
});

test("M13 V16: what readers still have when the store closes stays, on disk and in the manifest", async () => {
  const rig = await setUp({ 1: REMOVED, 2: REMOVED });
  const both = [rig.member(1), rig.member(2)] as const;
  const leaving = rig.remover.dismiss(both);
  rig.waits.get(both[0])?.(true);
  await rig.remover.stop();
  await leaving;
  assert.deepEqual([rig.trace, rig.listed(), rig.remover.pinnedBytes], [[], [1, 2], 0]);
  assert.equal((await rig.left()).length, 4);
  assert.equal(rig.remover.segmentsRemoved, 0);
});

test("M5: a file that cannot be removed keeps its name in the manifest, and is a leftover from then on", async () => {
  const rig = await setUp({ 1: REMOVED });
  const segment = rig.member(1);
  rig.trouble.injector = injectFault({ kind: "error", code: "EIO" }, { op: "remove" });
  const leaving = rig.remover.dismiss([segment]);
  rig.waits.get(segment)?.(true);
  await leaving;
  assert.deepEqual([rig.listed(), rig.remover.pinnedBytes], [[1], 0]);
  assert.ok(!rig.latch.isClosed);
  await rig.remover.clearLeftovers();
  assert.deepEqual([rig.listed(), await rig.left()], [[], []]);
});

test("D3 M5: a sync of the directory that fails closes the latch, and the manifest keeps the name", async () => {
  const rig = await setUp({ 1: REMOVED });
  rig.trouble.injector = injectFault({ kind: "error", code: "EIO" }, { op: "syncDirectory" });
  await rig.remover.clearLeftovers();
  assert.ok(rig.latch.isClosed);
  assert.deepEqual([rig.listed(), rig.checks()], [[1], 0]);
});

test("M5 V9: leftovers are what the manifest calls pending or removed, and nobody has", async () => {
  const rig = await setUp({ 1: ACTIVE, 2: SEALED, 3: PENDING, 4: REMOVED, 5: REMOVED, 6: REMOVED });
  // One waits for its readers; the id of another is that of a younger segment now.
  const waiting = rig.member(5);
  void rig.remover.dismiss([waiting]);
  rig.member(6, 77n);
  await rig.host.files.remove(nameOf(4).hintPath);
  await rig.remover.clearLeftovers();
  assert.deepEqual(rig.listed(), [1, 2, 5]);
  const names = await rig.left();
  assert.deepEqual(
    names.filter((name) => name.endsWith(".seg")),
    ["1_2.seg", "2_3.seg", "5_6.seg"],
  );
  assert.equal(rig.trace.filter((line) => line === "manifest").length, 1);
  // Nothing is left to do, and nothing is done.
  rig.trace.length = 0;
  await rig.remover.clearLeftovers();
  assert.deepEqual([rig.trace, rig.host.log.lines.length], [[], 0]);
  await rig.remover.stop();
});

test("M10: a segment that is on its way out of the set is no leftover", async () => {
  const rig = await setUp({ 1: REMOVED });
  const segment = rig.member(1);
  const leaving = rig.remover.dismiss([segment]);
  rig.waits.get(segment)?.(true);
  // Its file is being closed, or removed: no one else comes to it.
  while (rig.segments.find(1) !== undefined) await undefined;
  await rig.remover.clearLeftovers();
  await leaving;
  assert.equal(rig.trace.filter((line) => line === "manifest").length, 1);
  assert.equal(rig.trace.filter((line) => line === "remove 1.seg").length, 1);
});

test("M13: a store that closes begins no removal", async () => {
  const rig = await setUp({ 1: REMOVED });
  await rig.remover.stop();
  await rig.remover.clearLeftovers();
  assert.deepEqual([rig.trace, rig.listed()], [[], [1]]);
});

test("M5: an output that will not be one goes at once", async () => {
  const rig = await setUp({ 1: ACTIVE, 2: PENDING });
  await rig.remover.discard(nameOf(2));
  assert.deepEqual(rig.trace, [
    ...["remove 2.seg", "remove 2.hint", "remove 2.hint.tmp", "syncDirectory /d", "manifest"],
  ]);
  assert.deepEqual(rig.listed(), [1]);
  rig.trouble.injector = injectFault({ kind: "error", code: "EIO" }, { op: "remove" });
  await assert.rejects(rig.remover.discard(nameOf(1)), { code: "EIO" });
  assert.deepEqual(rig.listed(), [1]);
});

test("M8 M10: a run waits for bytes that are on their way out, and for victims a second at most", async () => {
  const rig = await setUp({ 3: REMOVED, 4: REMOVED });
  const { clock } = rig.host;
  const { remover } = rig;
  const [three, four] = [rig.member(3), rig.member(4)];
  void remover.dismiss([three]);
  void remover.dismiss([four]);
  const { signal } = new AbortController();
  assert.equal(remover.pinnedBytes, 70);
  const fits = watch(remover.untilAtMost(70, signal));
  const fewer = watch(remover.untilAtMost(69, signal));
  const gone = watch(remover.untilGone([three, four], signal));
  const none = watch(remover.untilGone([], signal));
  await clock.settle();
  assert.deepEqual(
    [fits.state, fewer.state, gone.state, none.state],
    ["resolved", "pending", "pending", "resolved"],
  );
  await clock.advance(999);
  assert.equal(gone.state, "pending");
  await clock.advance(2);
  assert.deepEqual([fewer.state, gone.state], ["pending", "resolved"]);
  const all = watch(remover.untilGone([three, four], signal));
  rig.waits.get(three)?.(true);
  await clock.settle();
  assert.deepEqual([fewer.state, all.state], ["resolved", "pending"]);
  rig.waits.get(four)?.(true);
  await clock.settle();
  assert.equal(all.state, "resolved");
  await clock.settle();
  assert.equal(clock.sleepers, 0);
});

test("M13: who waits for a removal stops when his run is cancelled", async () => {
  const rig = await setUp({ 3: REMOVED });
  const segment = rig.member(3);
  void rig.remover.dismiss([segment]);
  const over = new AbortController();
  const waits = [
    watch(rig.remover.untilAtMost(0, over.signal)),
    watch(rig.remover.untilGone([segment], over.signal)),
  ];
  await rig.host.clock.settle();
  over.abort();
  await rig.host.clock.settle();
  assert.deepEqual(
    waits.map(({ state }) => state),
    ["resolved", "resolved"],
  );
  await rig.remover.untilAtMost(0, over.signal);
  await rig.remover.stop();
});
