/** Which records of a victim live, by the index; and the bytes that must be accounted for. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { JudgeRequest } from "../../../src/engine/compaction/copier-orders.js";
import {
  IndexDisagrees,
  isAccountedFor,
  judgeSlice,
} from "../../../src/engine/compaction/judge.js";
import type { Pace } from "../../../src/engine/compaction/pacer.js";
import { Keydir } from "../../../src/engine/keydir/keydir.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";

const directories = { data: "/store", segments: "/store/segments" };
const victimId = 1;
const otherId = 2;
const frameBytes = 60;

const unhurried: Pace = { hasTime: () => true, turn: async () => undefined } as Pace;

function keyOf(index: number): Uint8Array {
  return Uint8Array.from(Buffer.from(`key${index}`));
}

/** A frame of the victim; the n-th lies at n * 60. */
interface Frame {
  readonly version: number;
  readonly isTombstone?: boolean;
}

function requestOf(frames: readonly Frame[]): JudgeRequest {
  const keys = frames.map((_, index) => keyOf(index));
  let end = 0;
  return {
    kind: "judge",
    victim: 0,
    upTo: frames.length * frameBytes,
    bytesRead: frames.length * frameBytes,
    count: frames.length,
    offsets: Uint32Array.from(frames, (_, index) => index * frameBytes),
    lengths: new Uint32Array(frames.length).fill(frameBytes),
    versions: Float64Array.from(frames, ({ version }) => version),
    tombstones: Uint8Array.from(frames, ({ isTombstone }) => (isTombstone === true ? 1 : 0)),
    keys: Uint8Array.from(Buffer.concat(keys)),
    keyEnds: Uint32Array.from(keys, ({ length }) => (end += length)),
  };
}

/** A victim under judgement, and an index. */
function setUp() {
  const name = new SegmentName(directories, new Uint8Array(16), "segment", victimId, 1n);
  const victim = new Segment(name, undefined, true);
  victim.judgement = { upTo: 0, keptBytes: 0, diedBytes: 0 };
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const point = (index: number, segment: number, offset: number, version: number): void => {
    const key = keyOf(index);
    keydir.put(key, 0, key.length, segment, offset, frameBytes, 0, version);
    if (segment === victimId) victim.liveBytes += frameBytes;
  };
  return { victim, keydir, point };
}

test("M1 V6: a record lives if the index points at its very place, and a tombstone if nothing newer is known", async () => {
  const { victim, keydir, point } = setUp();
  const frames: Frame[] = [
    { version: 10 }, // the index points at it
    { version: 10 }, // the index has a newer record, elsewhere
    { version: 10 }, // the index has a newer record in the victim
    { version: 10 }, // the index does not have the key: a tombstone hides it
    { version: 10 }, // the index points at a copy of it in another segment
    { version: 10 }, // the index points at another frame of the same version in the victim
    { version: 10, isTombstone: true }, // the index does not have the key
    { version: 10, isTombstone: true }, // the index has a newer record
  ];
  point(0, victimId, 0, 10);
  point(1, otherId, 5, 11);
  point(2, victimId, 900, 11);
  point(4, otherId, 4 * frameBytes, 10);
  point(5, victimId, 901, 10);
  point(7, otherId, 5, 11);
  const keep = await judgeSlice(requestOf(frames), victim, keydir, unhurried);
  assert.deepEqual([...keep], [1, 0, 0, 0, 0, 0, 1, 0]);
  assert.deepEqual(victim.judgement, { upTo: 480, keptBytes: frameBytes, diedBytes: 0 });
});

test("V6 V13: a victim that knows more than the index is not judged on the index's word", async () => {
  const frames: Frame[] = [
    { version: 11 },
    { version: 11, isTombstone: true },
    { version: 10, isTombstone: true },
  ];
  for (const frame of frames) {
    const { victim, keydir, point } = setUp();
    point(0, otherId, 0, 10);
    const judging = judgeSlice(requestOf([frame]), victim, keydir, unhurried);
    await assert.rejects(judging, (error) => {
      return error instanceof IndexDisagrees && error.segment === victim;
    });
  }
});

test("V16: what dies while a victim is judged is accounted for, before the judgement and behind it", async () => {
  const { victim, keydir, point } = setUp();
  const count = 100;
  for (let index = 0; index < count; index += 1) point(index, victimId, index * frameBytes, 10);
  const die = (index: number): void => {
    point(index, otherId, index * frameBytes, 11);
    victim.release(index * frameBytes, frameBytes);
  };
  let turns = 0;
  // Frames 0 to 31 are judged at the second turn, 0 to 63 at the third.
  const slow = {
    hasTime: () => false,
    turn: async () => {
      turns += 1;
      if (turns === 2) for (const index of [0, 31, 32, 99]) die(index);
      if (turns === 3) for (const index of [63, 64]) die(index);
    },
  } as Pace;
  const keep = await judgeSlice(
    requestOf(Array(count).fill({ version: 10 })),
    victim,
    keydir,
    slow,
  );
  assert.equal(turns, 4);
  const dead = [...keep.keys()].filter((index) => keep[index] === 0);
  assert.deepEqual(dead, [32, 64, 99]);
  assert.deepEqual(victim.judgement, {
    upTo: count * frameBytes,
    keptBytes: 97 * frameBytes,
    diedBytes: 3 * frameBytes,
  });
  assert.ok(isAccountedFor(victim));
  die(50);
  assert.ok(isAccountedFor(victim));
});

test("V16: a victim with a live byte that was not copied does not pass, and neither does one that nobody judged", async () => {
  const { victim, keydir, point } = setUp();
  point(0, victimId, 0, 10);
  point(1, victimId, frameBytes, 10);
  const frames = [{ version: 10 }];
  await judgeSlice(requestOf(frames), victim, keydir, unhurried);
  assert.ok(!isAccountedFor(victim));
  victim.judgement = undefined;
  assert.ok(!isAccountedFor(victim));
  victim.liveBytes = 0;
  assert.ok(!isAccountedFor(victim));
  await assert.rejects(
    judgeSlice(requestOf(frames), victim, keydir, unhurried),
    /not being judged/,
  );
});

test("M14 V11: a judgement that has time takes no turn, and one that has none takes one every 32 records", async () => {
  for (const [hasTime, turnsDue] of [
    [true, 0],
    [false, 3],
  ] as const) {
    const { victim, keydir } = setUp();
    let turns = 0;
    const turn = async (): Promise<void> => {
      turns += 1;
    };
    const pace = { hasTime: () => hasTime, turn } as unknown as Pace;
    await judgeSlice(requestOf(Array(65).fill({ version: 10 })), victim, keydir, pace);
    assert.equal(turns, turnsDue);
  }
});
