/** The checkpoint of an index by itself: what it was made of is what it is taken up for. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CleanMarkSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { dropCheckpoints, openCheckpoint, saveCheckpoint } from "../../src/engine/checkpoint.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import { RequestMemory } from "../../src/engine/requests/request-memory.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SegmentSet } from "../../src/storage/segment-set.js";
import { rowsOf } from "../support/checkpoint-life.js";
import { MemoryFile } from "../support/memory-file.js";
import { simHost } from "../support/sim-host.js";

const directories = { data: "/d", segments: "/d" };
const storeId = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
const id = new TextEncoder().encode("the id of a request");

/** What a segment is in the manifest, and its file. */
interface Facts {
  readonly timestampNs?: bigint;
  readonly isSealed?: boolean;
  readonly lengthBytes?: number;
  readonly checksum?: number;
  readonly fileBytes?: number | undefined;
}

/** Segments as an opening finds them: their figures are not known yet. */
function segmentsOf(...facts: readonly Facts[]): SegmentSet {
  const set = new SegmentSet();
  for (const [index, fact] of facts.entries()) {
    const { timestampNs = BigInt(index + 5), isSealed = index === 0 } = fact;
    const { lengthBytes = 100 * (index + 1), checksum = 7 * (index + 1) } = fact;
    const { fileBytes = lengthBytes } = fact;
    const name = new SegmentName(directories, storeId, "segment", index, timestampNs);
    const file = "fileBytes" in fact && fact.fileBytes === undefined;
    const memory = new MemoryFile(new Uint8Array(fileBytes)).asFile();
    const segment = new Segment(name, file ? undefined : memory, isSealed);
    if (isSealed) Object.assign(segment, { length: lengthBytes, checksum });
    set.add(segment);
  }
  return set;
}

const both: readonly Facts[] = [{}, {}];
const requestsOf = () =>
  new RequestMemory({ seed: new Uint8Array(16), monotonicMs: () => 0, retentionMs: 0 });

/** A store of two segments that was closed, with its checkpoint on a disk. */
async function closed(withRequests = true) {
  const host = simHost({ seed: 1 });
  await host.files.makeDirectory("/d");
  const segments = segmentsOf(...both);
  const [sealed, active] = [segments.at(0), segments.at(1)];
  Object.assign(active, { length: 200, checksum: 14, liveBytes: 60 });
  Object.assign(sealed, { liveBytes: 40, tombstoneBytes: 30, highestTombstone: 8 });
  Object.assign(sealed, { lowestVersion: 3, highestVersion: 9, newestTimestampMs: 5000 });
  const keydir = new Keydir({ seed: new Uint8Array(16).fill(5) });
  for (let index = 0; index < 50; index += 1) {
    keydir.put(
      Buffer.from(`key ${index}`),
      0,
      `key ${index}`.length,
      index % 2,
      index,
      40,
      0,
      index + 1,
    );
  }
  const requests = requestsOf();
  if (withRequests) requests.load(id, { segment: sealed, offset: 10, length: 50 });
  const save = (keptFreeBytes = 0) =>
    saveCheckpoint({ host, directories, storeId, segments, requests }, keydir, keptFreeBytes);
  const checksum = (await save()) ?? assert.fail("no checkpoint");
  const clean = create(CleanMarkSchema, {
    ...{ syncedLength: 200n, syncedChecksum: 14, lastVersion: 50n, checkpointChecksum: checksum },
  });
  /** Opens it upon these segments; their figures afterwards, unless it was ignored. */
  const open = async (
    facts: readonly Facts[],
    more: { bytesMax?: number; mark?: Partial<typeof clean> } = {},
  ) => {
    const found = segmentsOf(...facts);
    const memory = requestsOf();
    const context = { host, directories, storeId, segments: found, requests: memory };
    const mark = { ...clean, ...more.mark };
    const restored = await openCheckpoint(context, mark, more.bytesMax ?? 1e9);
    return { restored, segments: found, requests: memory };
  };
  return { host, keydir, segments, save, open, clean };
}

const figures = (set: SegmentSet): unknown[] =>
  Array.from(set, ({ name: _, file: __, ...rest }) => rest);

test("I8 R7: index, figures and requests are as they were, with requests and without", async () => {
  for (const withRequests of [true, false]) {
    const { keydir, segments, open } = await closed(withRequests);
    const { restored, segments: found, requests } = await open(both);
    assert.ok(restored);
    assert.deepEqual(rowsOf(restored), rowsOf(keydir));
    assert.deepEqual(figures(found), figures(segments));
    assert.equal(requests.count, withRequests ? 1 : 0);
    const place = requests.find({ id, name: "" } as never);
    assert.equal(place?.kind === "published" && place.segment, withRequests && found.at(0));
  }
});

test("R7 I8: upon segments that are others in anything it is ignored, and sets nothing", async () => {
  const { open, host } = await closed();
  for (const [what, facts, mark] of [
    ["one more segment", [{}, {}, { isSealed: true }]],
    ["one fewer", [{}]],
    ["another of that id", [{ timestampNs: 77n }, {}]],
    ["sealed since", [{}, { isSealed: true, lengthBytes: 200, checksum: 14 }]],
    ["another length", [{ lengthBytes: 101 }, {}]],
    ["another checksum", [{ checksum: 8 }, {}]],
    ["another end of the log", [{}, { fileBytes: 201 }], { syncedLength: 201n }],
    ["another checksum of the log", [{}, {}], { syncedChecksum: 15 }],
    ["a sealed file that is short", [{ fileBytes: 99 }, {}]],
    ["a log that is short", [{}, { fileBytes: 199 }]],
    ["a log that is longer", [{}, { fileBytes: 201 }]],
    ["a file that is missing", [{ fileBytes: undefined }, {}]],
    ["the end of the log missing", [{}, { fileBytes: undefined }]],
    ["another checkpoint", [{}, {}], { checkpointChecksum: 1 }],
  ] as const) {
    const before = host.log.lines.length;
    const { restored, segments, requests } = await open(facts, mark === undefined ? {} : { mark });
    assert.equal(restored, undefined, what);
    assert.equal(requests.count, 0);
    assert.ok(
      Array.from(segments).every(({ liveBytes }) => liveBytes === 0),
      what,
    );
    assert.equal(host.log.lines.length, before + 1, what);
  }
  // Bytes behind the end of a sealed segment do not count.
  assert.ok((await open([{ fileBytes: 150 }, {}])).restored);
  // A close that made none is no doubt.
  const lines = host.log.lines.length;
  const { checkpointChecksum: _, ...mark } = (await closed()).clean;
  assert.equal(mark.syncedLength, 200n);
  const none = await open(both, { mark: { checkpointChecksum: undefined } as never });
  assert.deepEqual([none.restored, host.log.lines.length], [undefined, lines]);
});

test("V11: an index that has more than it may is not taken up, and one that has just that is", async () => {
  const { open } = await closed();
  const { restored } = await open(both);
  const bytesMax = restored?.bytes ?? 0;
  assert.ok((await open(both, { bytesMax })).restored);
  assert.equal((await open(both, { bytesMax: bytesMax - 1 })).restored, undefined);
});

test("D6: a checkpoint leaves free what is kept free of the disk, to the byte", async () => {
  const { host, save, keydir } = await closed(false);
  let pageBytes = 0;
  for (const page of keydir.save().pages) pageBytes += page.length;
  const free = host.files.freeBytes("/d");
  assert.notEqual(await save(free - pageBytes), undefined);
  const left = host.files.freeBytes("/d");
  const before = host.log.lines.length;
  assert.equal(await save(left - pageBytes + 1), undefined);
  assert.deepEqual([host.log.lines.length, host.log.lines.at(-1)?.level], [before + 1, "warn"]);
});

test("R9: checkpoints that nothing names any more go, and one that cannot stops nobody", async () => {
  const { host } = await closed();
  const context = { host, directories };
  const names = async () => (await host.files.list("/d")).map(({ name }) => name);
  assert.deepEqual(await names(), ["CHECKPOINT"]);
  host.files.onOperation = ({ op }) => (op === "remove" ? "fail" : undefined);
  await dropCheckpoints(context, ["CHECKPOINT"]);
  assert.deepEqual([await names(), host.log.lines.at(-1)?.level], [["CHECKPOINT"], "warn"]);
  host.files.onOperation = undefined;
  await dropCheckpoints(context, ["CHECKPOINT.tmp", "CHECKPOINT"]);
  assert.deepEqual(await names(), []);
});
