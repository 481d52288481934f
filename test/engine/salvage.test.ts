/** What damaged bytes of a segment still tell: keys for certain, keys that are likely, requests, or nothing. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { EntrySink, LoadedEntry } from "../../src/engine/index-loader.js";
import { type DamagedRun, loadLost, salvageRun } from "../../src/engine/salvage.js";
import { parseBatch } from "../../src/format/batch.js";
import { FRAME_HEADER_BYTES, FrameFlag } from "../../src/format/frame.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import {
  batchOf,
  concat,
  frameOf,
  noBytes,
  recordOf,
  sampleNowMs,
  sampleStoreId,
  text,
  tombstoneOf,
  withFlippedBit,
} from "../format/frames.js";
import { MemoryFile } from "../support/memory-file.js";

const directories = { data: "/store", segments: "/store/segments" };
const name = new SegmentName(directories, sampleStoreId, "segment", 3, 9n);
const { BATCH, BARRIER, TOMBSTONE } = FrameFlag;
const digest = new Uint8Array(32).fill(9);
const id = text("the id of a request");

const frame = (key: string, version: number, expiresAtMs = 0, value = "value") =>
  frameOf(recordOf(text(key), text(value), version, sampleNowMs, expiresAtMs), 0, name.salt);
const tombstone = (key: string, version: number): Uint8Array =>
  frameOf(tombstoneOf(text(key), version), TOMBSTONE, name.salt);
const batch = (
  members: readonly Uint8Array[],
  requestId: Uint8Array = noBytes,
  flags = 0,
): Uint8Array => {
  const hash = requestId.length === 0 ? noBytes : digest;
  const payload = batchOf(requestId, hash, noBytes, concat(...members));
  return frameOf(payload, BATCH | flags, name.salt);
};

/** Where the members of a batch start in its frame. */
const headOf = (bytes: Uint8Array): number =>
  parseBatch(bytes, FRAME_HEADER_BYTES, bytes.length)?.framesStart ?? assert.fail("no batch");

const front = frame("before", 4);

/** What `run`, which lies behind a sound frame and in front of `behind`, tells. */
async function salvage(
  run: Uint8Array,
  behind: Uint8Array = frame("behind", 90),
  bounds: Partial<DamagedRun> = {},
) {
  const file = new MemoryFile(concat(front, run, behind));
  const segment = new Segment(name, file.asFile(), true);
  const found = await salvageRun({
    ...{ segment, offset: front.length, length: run.length, versionBefore: 4, versionAfter: 90 },
    ...bounds,
  });
  const { lost, requests, isComplete } = found;
  const keys = lost.map(({ bytes, fields, offset, isCertain }) => {
    const key = Buffer.from(bytes.subarray(fields.keyStart, fields.keyEnd)).toString();
    const certainty = isCertain ? "" : "?";
    return `${key}${certainty} ${fields.version} ${offset - front.length}+${bytes.length}`;
  });
  const told = requests.map(({ requestId, offset, length }) => {
    return `${Buffer.from(requestId)} ${offset - front.length}+${length}`;
  });
  return { keys, told, isComplete, lost };
}

test("R3 V13: a frame in which one bit is wrong, whichever, is known as it was", async () => {
  const shortest = frameOf(recordOf(text("k"), noBytes, 7, 0), 0, name.salt);
  const alone = await salvage(withFlippedBit(shortest, 8 * 19));
  assert.deepEqual([alone.keys, alone.isComplete], [["k 7 0+24"], true]);
  for (const sound of [frame("key", 7, 5_000_000), tombstone("key", 7)]) {
    for (let bit = 0; bit < sound.length * 8; bit += 1) {
      const found = await salvage(withFlippedBit(sound, bit));
      assert.deepEqual(
        [found.keys, found.isComplete],
        [[`key 7 0+${sound.length}`], true],
        `${bit}`,
      );
      assert.deepEqual(found.lost[0]?.bytes, sound);
    }
  }
});

test("V13: of several frames in a row, each with a wrong bit, all are known", async () => {
  const frames = [frame("a", 7), tombstone("bb", 8), frame("ccc", 9)];
  const run = concat(...frames.map((each) => withFlippedBit(each, 8 * 20)));
  const [a = 0, b = 0, c = 0] = frames.map(({ length }) => length);
  const { keys, isComplete } = await salvage(run);
  assert.deepEqual(keys, [`a 7 0+${a}`, `bb 8 ${a}+${b}`, `ccc 9 ${a + b}+${c}`]);
  assert.ok(isComplete);
});

test("V13: a key is likely if all fits together and its version lies between its neighbours, and then nothing is certain", async () => {
  const sound = frame("key", 7);
  const spoilt = withFlippedBit(withFlippedBit(sound, 8 * 26), 8 * 27);
  const likely = [`key? 7 0+${sound.length}`];
  for (const [versionBefore, versionAfter, keys] of [
    [6, 8, likely],
    [7, 8, []],
    [6, 7, []],
  ] as const) {
    const found = await salvage(spoilt, undefined, { versionBefore, versionAfter });
    assert.deepEqual([found.keys, found.isComplete], [keys, false]);
  }
  // A frame that is certain need not lie between them: its checksum says so.
  const certain = await salvage(withFlippedBit(sound, 8 * 26), undefined, { versionBefore: 7 });
  assert.deepEqual([certain.keys.length, certain.isComplete], [1, true]);
  // Its length must fit, too.
  const longer = await salvage(withFlippedBit(spoilt, 8 * 6));
  assert.deepEqual(longer.keys, []);
  // Two in a row: the second must follow the first.
  const older = withFlippedBit(withFlippedBit(frame("old", 6), 8 * 26), 8 * 27);
  const { keys } = await salvage(concat(spoilt, older));
  assert.deepEqual(keys, likely);
});

test("V13: what is behind a frame that tells nothing is still looked into, and the run is not complete", async () => {
  const noise = new Uint8Array(60).fill(0xa5);
  const length = 43;
  new DataView(noise.buffer).setUint32(4, length, true);
  const known = frame("key", 7);
  const { keys, isComplete } = await salvage(concat(noise, withFlippedBit(known, 200)));
  assert.deepEqual([keys, isComplete], [[`key 7 60+${known.length}`], false]);
  // A length that cannot be claims all that is left.
  for (const claim of [0, 1_000_000, 0xffffffff]) {
    new DataView(noise.buffer).setUint32(4, claim, true);
    const blind = await salvage(concat(noise, withFlippedBit(known, 200)));
    assert.deepEqual([blind.keys, blind.isComplete], [[], false]);
  }
});

test("V13: a run that is too short for a frame, or leaves a rest that is, is not complete", async () => {
  for (let length = 1; length < 24; length += 1) {
    assert.equal((await salvage(new Uint8Array(length).fill(0xa5))).isComplete, false);
  }
  const known = withFlippedBit(frame("key", 7), 200);
  for (const rest of [1, 23]) {
    const { keys, isComplete } = await salvage(concat(known, new Uint8Array(rest).fill(0xa5)));
    assert.deepEqual([keys.length, isComplete], [1, false]);
  }
});

test("B1 V13: the head of a batch held no key, if one of its bits at most is wrong", async () => {
  const members = [frame("a", 7), frame("b", 8)];
  // The longest members whose length takes one byte, and the shortest of two.
  const sized = [127, 128].map((length) => {
    const value = "v".repeat(length - frame("k", 7, 0, "").length - 2);
    const member = frame("k", 7, 0, value);
    assert.equal(member.length, length);
    return batch([member]);
  });
  for (const sound of [batch(members), batch(members, noBytes, BARRIER), ...sized]) {
    const at = headOf(sound);
    const [head, rest] = [sound.subarray(0, at), sound.subarray(at)];
    for (let bit = 0; bit < head.length * 8; bit += 1) {
      const { keys, told, isComplete } = await salvage(withFlippedBit(head, bit), rest);
      assert.deepEqual([keys, told, isComplete], [[], [], true], `${bit}`);
    }
  }
});

test("V13: what lies in front of sound frames and is no head of a batch is not called complete", async () => {
  const members = [frame("a", 7), frame("b", 8)];
  const sound = batch(members);
  const at = headOf(sound);
  const spoil = (...bits: readonly number[]): Uint8Array => {
    let bytes: Uint8Array = Uint8Array.from(sound.subarray(0, at));
    for (const bit of bits) bytes = withFlippedBit(bytes, bit);
    return bytes;
  };
  // Two signs out of three: the flags, the tag, the two lengths.
  const [flags, tag, size, inner] = [8 * 8 + 5, 8 * 17, 8 * 4, 8 * 18];
  for (const bits of [
    [flags, tag],
    [flags, size],
    [tag, inner],
    [flags, tag, size],
  ]) {
    const { isComplete } = await salvage(spoil(...bits), sound.subarray(at));
    assert.equal(isComplete, false, bits.join());
  }
  // The head with something behind it, or without its end.
  for (const run of [concat(sound.subarray(0, at), Uint8Array.of(0)), sound.subarray(0, at - 1)]) {
    assert.equal((await salvage(run, sound.subarray(at))).isComplete, false);
  }
});

test("B1 V13 R7: a damaged batch tells its request, as it was if one bit was wrong, and its damaged members", async () => {
  const members = [frame("a", 7), tombstone("b", 8), frame("c", 9)];
  const sound = batch(members, id);
  const [a = 0, b = 0] = members.map(({ length }) => length);
  const at = headOf(sound);
  const request = `${Buffer.from(id)} 0+${sound.length}`;
  const isOfLength = (bit: number): boolean => bit >= 4 * 8 && bit < 8 * 8;
  // In the head: the members behind it are sound.
  for (let bit = 0; bit < at * 8; bit += 1) {
    const spoilt = withFlippedBit(sound, bit);
    const found = await salvage(spoilt.subarray(0, at), spoilt.subarray(at));
    // Where the length itself is wrong, another one is told.
    const told = found.told.map((each) => (isOfLength(bit) ? each.split(" 0+")[0] : each));
    const expected = isOfLength(bit) ? `${Buffer.from(id)}` : request;
    assert.ok(told.includes(expected), `${bit}: ${found.told}`);
    assert.deepEqual([found.keys, found.isComplete], [[], !isOfLength(bit)], `${bit}`);
  }
  // In the first member: it lies in one run with the head.
  for (let bit = at * 8; bit < (at + a) * 8; bit += 1) {
    const spoilt = withFlippedBit(sound, bit);
    const found = await salvage(spoilt.subarray(0, at + a), spoilt.subarray(at + a));
    assert.ok(found.told.includes(request), `${bit}: ${found.told}`);
    assert.deepEqual([found.keys, found.isComplete], [[`a 7 ${at}+${a}`], true], `${bit}`);
  }
  // In the first two.
  const both = withFlippedBit(withFlippedBit(sound, (at + 20) * 8), (at + a + 20) * 8);
  const found = await salvage(both.subarray(0, at + a + b), both.subarray(at + a + b));
  assert.deepEqual(found.keys, [`a 7 ${at}+${a}`, `b 8 ${at + a}+${b}`]);
  assert.equal(found.told.length, 1);
  assert.match(found.told[0] ?? "", /^the id of a request /);
});

test("R7: of a head that is broken further the id is told as it lies there, if it lies there as a batch has it", async () => {
  const sound = batch([frame("a", 7)], id);
  const at = headOf(sound);
  // The size and the length of the frames: two bits, and the id is whole.
  const broken = withFlippedBit(withFlippedBit(sound, 4 * 8), (at - 1) * 8);
  const told = await salvage(broken.subarray(0, at), broken.subarray(at));
  assert.deepEqual([told.keys, told.isComplete], [[], false]);
  assert.match(told.told.join(), /^the id of a request 0\+\d+$/);
  const digestAt = FRAME_HEADER_BYTES + 2 + id.length;
  for (const place of [FRAME_HEADER_BYTES, digestAt, digestAt + 1]) {
    const other = withFlippedBit(broken, place * 8);
    const none = await salvage(other.subarray(0, at), other.subarray(at));
    assert.deepEqual(none.told, []);
  }
  // Shorter or longer than an id may be.
  for (const [length, isTold] of [
    [15, false],
    [16, true],
    [64, true],
    [65, false],
  ] as const) {
    const odd = batch([frame("a", 7)], new Uint8Array(length).fill(0x41));
    const spoilt = withFlippedBit(withFlippedBit(odd, 4 * 8), (headOf(odd) - 1) * 8);
    const told = await salvage(spoilt.subarray(0, headOf(odd)), spoilt.subarray(headOf(odd)));
    assert.equal(told.told.length, isTold ? 1 : 0, `${length}`);
  }
});

test("R6 V11: nothing is read of a run that is too long, that the file does not have, or of a missing file", async () => {
  const run = withFlippedBit(frame("key", 7), 200);
  const reads: number[] = [];
  const file = {
    read: async (target: Uint8Array) => {
      reads.push(target.length);
      return 0;
    },
    size: async () => 2 ** 40,
  };
  const segment = new Segment(name, file as never, true);
  const bounds = { segment, offset: 0, versionBefore: 4, versionAfter: 90 };
  const nothing = { lost: [], requests: [], isComplete: false };
  assert.deepEqual(await salvageRun({ ...bounds, length: 64 * 1024 * 1024 + 1 }), nothing);
  assert.equal(reads.length, 0);
  // Nor of what a damaged head claims, if the file has no more or it is too much.
  const head = batch([frame("a", 7)]).slice(0, 40);
  for (const [claim, fileBytes] of [
    [10_000_000, 10_000_000],
    [20_000_000, 2 ** 40],
  ] as const) {
    new DataView(head.buffer).setUint32(4, claim, true);
    const claiming = {
      read: async (target: Uint8Array) => {
        reads.push(target.length);
        target.set(head.subarray(0, target.length));
        return target.length;
      },
      size: async () => fileBytes,
    };
    const claimed = new Segment(name, claiming as never, true);
    await salvageRun({ ...bounds, segment: claimed, length: head.length });
    assert.deepEqual(reads.splice(0), [head.length]);
  }
  const missing = new Segment(name, undefined, true);
  assert.deepEqual(await salvageRun({ ...bounds, segment: missing, length: 100 }), nothing);
  const short = await salvage(run, noBytes, { length: run.length + 1 });
  assert.deepEqual([short.keys, short.isComplete], [[], false]);
});

test("V13 V6: what is lost is loaded as a record that cannot be read, a tombstone too, with its deadline if that is certain", async () => {
  const frames = [frame("a", 7, 5_000_000), tombstone("b", 8)];
  const certain = await salvage(concat(...frames.map((each) => withFlippedBit(each, 8 * 20))));
  const twice = withFlippedBit(withFlippedBit(frame("c", 9, 5_000_000), 8 * 23), 8 * 24);
  const likely = await salvage(twice);
  const loaded: Partial<LoadedEntry>[] = [];
  const sink: EntrySink = {
    load: (_, { version, expiresAtMs, isTombstone, isLost, length, offset }) => {
      loaded.push({ version, expiresAtMs, isTombstone, isLost, length, offset });
    },
    loadRequest: () => undefined,
  };
  const segment = new Segment(name, undefined, true);
  loadLost(segment, [...certain.lost, ...likely.lost], sink);
  const lost = { isTombstone: false, isLost: true };
  const [a = 0, b = 0] = frames.map(({ length }) => length);
  const start = front.length;
  assert.deepEqual(loaded, [
    { ...lost, version: 7, expiresAtMs: 5_000_000, length: a, offset: start },
    { ...lost, version: 8, expiresAtMs: 0, length: b, offset: start + a },
    { ...lost, version: 9, expiresAtMs: 0, length: twice.length, offset: start },
  ]);
});
