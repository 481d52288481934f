/** The file of a hint: which one counts for a segment, and how it comes to be. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { HINT_HEAD_BYTES } from "../../src/format/hint-layout.js";
import { decodeHintBlock } from "../../src/format/hint-reader.js";
import { readWholeFile, writeDurableFile } from "../../src/storage/file-tools.js";
import { HintFile, type HintLoad, loadHint } from "../../src/storage/hint-file.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { sampleSegmentId, sampleStoreId, sampleTimestampNs } from "../format/frames.js";
import {
  entriesEndOf,
  entryOf,
  few,
  fewFile,
  hintOf,
  sampleBinding,
  sampleFacts,
} from "../format/hints.js";
import type { FaultTarget } from "../support/faulty-file-system.js";
import { type TracedFiles, tracedFiles } from "../support/traced-files.js";

const directories = { data: "/d", segments: "/d" };

/** The segment that the sample hints are of. */
function segmentOf(id = sampleSegmentId, timestampNs = sampleTimestampNs): Segment {
  const name = new SegmentName(directories, sampleStoreId, "segment", id, timestampNs);
  const segment = new Segment(name, undefined, true);
  segment.length = Number(sampleFacts.segmentLength);
  segment.checksum = sampleFacts.segmentChecksum;
  return segment;
}

async function lay({ disk }: TracedFiles, bytes: Uint8Array, segment = segmentOf()): Promise<void> {
  await (await writeDurableFile(disk, segment.name.hintPath, bytes))();
}

/** What loading says, and how many entries it visited. */
async function load({ files }: TracedFiles, segment = segmentOf(), id = sampleStoreId) {
  let entries = 0;
  const result = await loadHint(files, id, segment, (block) => {
    entries += block.count;
  });
  return { why: result.kind === "doubtful" ? result.why : result.kind, entries, result };
}

const summaryOf = (result: HintLoad) => (result.kind === "loaded" ? result.summary : undefined);

test("R7: a sound hint is visited block by block, and tells its summary", async () => {
  const place = await tracedFiles();
  await lay(place, fewFile);
  const { why, entries, result } = await load(place);
  assert.deepEqual([why, entries], ["loaded", few.length]);
  assert.equal(summaryOf(result)?.segmentLength, sampleFacts.segmentLength);
  assert.equal(place.trace.at(-1), "close");
});

test("R7: a visitor that has to wait is waited for, and one that throws makes the hint doubtful", async () => {
  const place = await tracedFiles();
  await lay(place, fewFile);
  let underWay = 0;
  const visits: number[] = [];
  const result = await loadHint(place.files, sampleStoreId, segmentOf(), async (block) => {
    underWay += 1;
    visits.push(underWay);
    const { count } = block;
    for (let turn = 0; turn < 5; turn += 1) await undefined;
    // A block is good until its visitor is done.
    assert.equal(block.count, count);
    underWay -= 1;
  });
  assert.deepEqual([result.kind, visits], ["loaded", [1, 1, 1]]);
  place.trace.length = 0;
  const failing = await loadHint(place.files, sampleStoreId, segmentOf(), () => {
    throw new Error("no room");
  });
  assert.deepEqual(failing, { kind: "doubtful", why: "it cannot be read" });
  assert.equal(place.trace.at(-1), "close");
});

test("R7 V13: a hint counts for the segment that it was made of, and for no other", async () => {
  const place = await tracedFiles();
  await lay(place, fewFile);
  const shorter = segmentOf();
  shorter.length -= 1;
  const changed = segmentOf();
  changed.checksum ^= 1;
  for (const segment of [shorter, changed]) {
    assert.deepEqual((await load(place, segment)).why, "of another segment");
  }
  const stranger = await load(place, segmentOf(), new Uint8Array(16));
  assert.deepEqual([stranger.why, stranger.entries], ["of another segment", 0]);
  for (const segment of [segmentOf(sampleSegmentId + 1), segmentOf(sampleSegmentId, 5n)]) {
    await lay(place, fewFile, segment);
    const { why, entries } = await load(place, segment);
    assert.deepEqual([why, entries], ["of another segment", 0]);
  }
});

test("R7: a hint that is missing is missing, and one that is cut is doubtful", async () => {
  const place = await tracedFiles();
  assert.equal((await load(place)).why, "missing");
  for (let left = 0; left < fewFile.length; left += 11) {
    await lay(place, fewFile.subarray(0, left));
    const { result } = await load(place);
    assert.equal(result.kind, "doubtful", `${left} bytes`);
  }
});

test("R7: a hint without one of its blocks, or with a damaged one, is doubtful", async () => {
  const place = await tracedFiles();
  const other = hintOf([entryOf("a")], sampleFacts, sampleBinding);
  const both = hintOf(few, sampleFacts, sampleBinding, { entriesMax: 7 });
  await lay(place, both);
  assert.equal((await load(place)).entries, 7);
  const bytes = fewFile.slice();
  bytes[60] = (bytes[60] as number) ^ 1;
  await lay(place, bytes);
  assert.equal((await load(place)).result.kind, "doubtful");
  await lay(place, other);
  assert.deepEqual((await load(place)).why, "loaded");
});

/** Where the blocks of the sample hint begin, and where the last one ends. */
function blocksOf(file: Uint8Array): number[] {
  const end = entriesEndOf(file);
  const starts = [HINT_HEAD_BYTES];
  for (let at = HINT_HEAD_BYTES; at < end; ) {
    const block = decodeHintBlock(file, at, end);
    assert.equal(block.kind, "block");
    at = (block as Extract<typeof block, { kind: "block" }>).next;
    starts.push(at);
  }
  return starts;
}

test("R7: a hint that lacks a block, has one of another hint, or another head is doubtful, and no such block is visited", async () => {
  const place = await tracedFiles();
  const starts = blocksOf(fewFile);
  assert.equal(starts.length, 4);
  for (let block = 0; block < 3; block += 1) {
    const [from, to] = [starts[block], starts[block + 1]];
    const without = Buffer.concat([fewFile.subarray(0, from), fewFile.subarray(to)]);
    await lay(place, without);
    const { result, entries } = await load(place);
    // Its summary tells how long all blocks are.
    assert.deepEqual([result.kind, entries], ["doubtful", 0]);
  }
  const binding = { ...sampleBinding, segmentId: sampleBinding.segmentId + 1 };
  const stranger = hintOf(few, sampleFacts, binding, { entriesMax: 3 });
  const [, second] = starts;
  const exchanged = Buffer.concat([fewFile.subarray(0, second), stranger.subarray(second)]);
  exchanged.set(fewFile.subarray(starts[3]), starts[3]);
  await lay(place, exchanged);
  const { result, entries } = await load(place);
  assert.deepEqual([result.kind, entries], ["doubtful", 3]);
  for (let at = 0; at < HINT_HEAD_BYTES; at += 1) {
    const bytes = fewFile.slice();
    bytes[at] = (bytes[at] as number) ^ 1;
    await lay(place, bytes);
    const other = await load(place);
    assert.deepEqual([other.result.kind, other.entries], ["doubtful", 0], `${at}`);
  }
});

test("R7: a summary that is longer than what is read at first is read", async () => {
  const place = await tracedFiles();
  const requests = Array.from({ length: 1700 }, (_, index) => ({
    requestId: Uint8Array.from({ length: 32 }, () => index & 255),
    offset: BigInt(index * 100),
    length: 90n,
  }));
  const facts = { ...sampleFacts, requests } as unknown as typeof sampleFacts;
  await lay(place, hintOf(few, facts));
  const { why, entries, result } = await load(place);
  assert.deepEqual([why, entries], ["loaded", few.length]);
  assert.equal(summaryOf(result)?.requests.length, 1700);
});

test("R7 M11: what the disk refuses makes a hint doubtful, and its file is closed", async () => {
  const place = await tracedFiles();
  const { trace, fail } = place;
  await lay(place, fewFile);
  fail({ op: "open" }, "EACCES");
  assert.equal((await load(place)).why, "EACCES");
  for (const target of [{ op: "size" }, ...[0, 1, 2].map((nth) => ({ op: "read", nth }))]) {
    trace.length = 0;
    // Not EIO: of a window, each block is tried after that.
    fail(target as FaultTarget, "EACCES");
    assert.equal((await load(place)).why, "EACCES");
    assert.equal(trace.at(-1), "close");
  }
});

test("R7 D2: a hint has its name when it is whole and synced, and not before", async () => {
  const { files, disk, trace } = await tracedFiles();
  const segment = segmentOf();
  const { hintPath, hintName } = segment.name;
  await (await writeDurableFile(disk, `${hintPath}.tmp`, new Uint8Array(9)))();
  const hint = await HintFile.create(files, segment);
  await hint.append(Uint8Array.of(1, 2));
  await hint.append(Uint8Array.of(3));
  assert.deepEqual(
    (await disk.list("/d")).map(({ name }) => name),
    [`${hintName}.tmp`],
  );
  await hint.commit();
  assert.deepEqual(trace, ["remove", "create", "write", "write", "syncData", "close", "rename"]);
  assert.deepEqual(await readWholeFile(disk, hintPath), Uint8Array.of(1, 2, 3));
  await disk.syncDirectory("/d");
  const survivors = disk.crash({ bytes: "lost", names: "lost" }, 1);
  assert.deepEqual(await readWholeFile(survivors, hintPath), Uint8Array.of(1, 2, 3));
});

test("D4: a long hint is synced as it grows, after every MiB", async () => {
  const { files, trace } = await tracedFiles();
  const hint = await HintFile.create(files, segmentOf());
  trace.length = 0;
  const half = new Uint8Array(512 * 1024);
  for (let index = 0; index < 4; index += 1) await hint.append(half);
  await hint.append(new Uint8Array(1024 * 1024 - 1));
  await hint.append(new Uint8Array(1));
  assert.deepEqual(trace, [
    ...["write", "write", "syncData", "write", "write", "syncData"],
    ...["write", "write", "syncData"],
  ]);
  await hint.abandon();
});

test("M11 R9: a hint that is given up is taken away", async () => {
  const { files, disk, trace } = await tracedFiles();
  const hint = await HintFile.create(files, segmentOf());
  await hint.append(Uint8Array.of(1));
  await hint.abandon();
  assert.deepEqual(trace.slice(-2), ["close", "remove"]);
  assert.deepEqual(await disk.list("/d"), []);
});
