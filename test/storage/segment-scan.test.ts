/** Reading a segment from one end to the other, and finding the way again behind damage. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { crc32 } from "../../src/format/checksum.js";
import { FRAME_HEADER_BYTES, FrameFlag } from "../../src/format/frame.js";
import { ByteWindow } from "../../src/storage/byte-window.js";
import {
  checksumOf,
  findFrame,
  type ScanStop,
  scanFrames,
} from "../../src/storage/segment-scan.js";
import {
  batchOf,
  concat,
  falseStarts,
  frameOf,
  noBytes,
  recordOf,
  sampleSalt,
  text,
  viewOf,
  withFlippedBit,
} from "../format/frames.js";
import { MemoryFile } from "../support/memory-file.js";

const windowBytes = 1024 * 1024;

const frameWith = (version: number, valueBytes = 10): Uint8Array => {
  return frameOf(recordOf(text(`key ${version}`), new Uint8Array(valueBytes).fill(7), version));
};

function rangeOf(content: Uint8Array, from = 0, to = content.length, salt = sampleSalt) {
  return { file: new MemoryFile(content).asFile(), salt, from, to };
}

/** Where the frames of a scan lie, and where and why it stopped. */
async function scan(range: ReturnType<typeof rangeOf>, stopAfter = Number.POSITIVE_INFINITY) {
  const offsets: number[] = [];
  const stop: ScanStop = await scanFrames(range, ({ offset, at, bytes, frame }) => {
    assert.equal(bytes[at + FRAME_HEADER_BYTES], 0x0a);
    assert.equal(frame.payloadStart, at + FRAME_HEADER_BYTES);
    offsets.push(offset);
    return offsets.length < stopAfter;
  });
  return { offsets, stop };
}

test("every frame of a range is visited, in order and once, up to the end of the range", async () => {
  const frames = [frameWith(1), frameWith(2, 300), frameWith(3)];
  const [first, second] = frames.map(({ length }) => length) as [number, number, number];
  const content = concat(...frames);
  assert.deepEqual(await scan(rangeOf(content)), {
    offsets: [0, first, first + second],
    stop: { kind: "end", offset: content.length },
  });
  assert.deepEqual(await scan(rangeOf(content, first, first + second)), {
    offsets: [first],
    stop: { kind: "end", offset: first + second },
  });
  assert.deepEqual(await scan(rangeOf(content, 5, 5)), {
    offsets: [],
    stop: { kind: "end", offset: 5 },
  });
  // Who has seen enough goes on behind the last frame that it saw.
  assert.deepEqual(await scan(rangeOf(content), 2), {
    offsets: [0, first],
    stop: { kind: "end", offset: first + second },
  });
});

test("frames that lie across the end of a window, and some larger than one, are read like others", async () => {
  const sizes = [windowBytes - 40, 10, 100, 3 * windowBytes, 10, windowBytes - 100, 10];
  const frames = sizes.map((size, index) => frameWith(index + 1, size));
  const content = concat(...frames);
  let at = 0;
  const places = frames.map(({ length }) => {
    at += length;
    return at - length;
  });
  const { offsets, stop } = await scan(rangeOf(content));
  assert.deepEqual(offsets, places);
  assert.deepEqual(stop, { kind: "end", offset: content.length });
});

test("a scan that goes on in the window of the last one sees what one of its own would", async () => {
  const content = concat(...[1, 2, 3, 4].map((version) => frameWith(version, 100)));
  const range = rangeOf(content);
  const window = new ByteWindow(range.file, range.to);
  const seen: number[] = [];
  for (let from = 0; from < content.length; ) {
    const stop = await scanFrames(
      { ...range, from },
      ({ offset }) => {
        seen.push(offset);
        return false;
      },
      window,
    );
    from = stop.offset;
  }
  assert.deepEqual(seen, (await scan(rangeOf(content))).offsets);
});

test("R3 R4: a scan stops at the frame that is damaged, and tells one of a later kind from damage", async () => {
  const frames = [frameWith(1), frameWith(2), frameWith(3)];
  const [first] = frames as [Uint8Array];
  const content = concat(...frames);
  for (const bit of [0, 40, 8 * 30]) {
    const damaged = withFlippedBit(content, first.length * 8 + bit);
    const { offsets, stop } = await scan(rangeOf(damaged));
    assert.deepEqual([offsets, stop], [[0], { kind: "damage", offset: first.length }], `${bit}`);
  }
  const later = frameWith(2);
  later[8] = 2;
  viewOf(later).setUint32(0, crc32(later.subarray(4), sampleSalt), true);
  assert.deepEqual((await scan(rangeOf(concat(first, later)))).stop, {
    kind: "unknown",
    offset: first.length,
  });
});

test("R1 R6: a frame that is cut off is damage where it starts, in the file or only in the range", async () => {
  const first = frameWith(1);
  for (const valueBytes of [10, 3 * windowBytes]) {
    const content = concat(first, frameWith(2, valueBytes));
    const damage = { kind: "damage", offset: first.length };
    const cuts = [1, 16, 17, 18, content.length - first.length - 1];
    for (const cut of cuts) {
      const end = first.length + cut;
      // The file goes on behind the range.
      assert.deepEqual((await scan(rangeOf(content, 0, end))).stop, damage, `to ${cut}`);
      // The file ends where it was cut; the range goes on behind it, or does not.
      const file = content.subarray(0, end);
      assert.deepEqual((await scan(rangeOf(file))).stop, damage, `of ${cut}`);
      assert.deepEqual((await scan(rangeOf(file, 0, content.length))).stop, damage, `in ${cut}`);
    }
  }
  // Nothing at all is there.
  assert.deepEqual((await scan(rangeOf(first, 0, first.length + 9))).stop, {
    kind: "damage",
    offset: first.length,
  });
});

test("R2 R3: behind damage the first sound frame is found, wherever it starts", async () => {
  const frame = frameWith(1);
  for (const before of [0, 1, 17, 4095]) {
    const rubbish = new Uint8Array(before).fill(0xa5);
    const content = concat(rubbish, frame, frameWith(2));
    assert.deepEqual(await findFrame(rangeOf(content)), { kind: "frame", offset: before });
    // It is the last that fits.
    const last = concat(rubbish, frame);
    assert.deepEqual(await findFrame(rangeOf(last)), { kind: "frame", offset: before });
    assert.deepEqual(await findFrame(rangeOf(last, 0, last.length - 1)), { kind: "none" });
    assert.deepEqual(await findFrame(rangeOf(last, before + 1)), { kind: "none" });
  }
});

for (const behind of [-40, -20, -10, 5]) {
  test(`R2 R3: a sound frame that starts ${behind} bytes behind the end of a window is found`, async () => {
    const before = windowBytes + behind;
    const content = concat(new Uint8Array(before).fill(0xa5), frameWith(1), frameWith(2));
    assert.deepEqual(await findFrame(rangeOf(content)), { kind: "frame", offset: before });
  });
}

test("R2: batches are found as records are, and no frame of another segment is", async () => {
  const member = frameWith(1);
  const batches = [
    batchOf(noBytes, noBytes, noBytes, member),
    batchOf(text("id"), text("hash"), text("result"), member),
  ];
  for (const [index, batch] of batches.entries()) {
    const content = concat(Uint8Array.of(1, 2, 3), frameOf(batch, FrameFlag.BATCH));
    const found = await findFrame(rangeOf(content));
    assert.deepEqual(found, { kind: "frame", offset: 3 }, `batch ${index}`);
  }
  const content = concat(Uint8Array.of(1, 2, 3), member);
  const foreign = rangeOf(content, 0, content.length, sampleSalt ^ 1);
  assert.deepEqual(await findFrame(foreign), { kind: "none" });
});

test("R2: what only looks like a frame is passed, and the sound one behind it found", async () => {
  const frame = frameWith(1);
  const broken = withFlippedBit(frameWith(2, 50), 8 * 40);
  // It claims to reach over the sound one; and bytes of a value look like a header.
  const claiming = frameWith(3, 2 * windowBytes).slice(0, 200);
  const content = concat(broken, claiming, frame, new Uint8Array(3 * windowBytes));
  const offset = broken.length + claiming.length;
  assert.deepEqual(await findFrame(rangeOf(content)), { kind: "frame", offset });
});

// 256 MiB and 8 bytes for each that is covered: 72 times 4 MiB.
test("V11: a search that meets too many false starts gives up, and one that meets fewer goes on", async () => {
  assert.deepEqual(await findFrame(rangeOf(falseStarts(68, frameWith(1)))), {
    kind: "frame",
    offset: 64 * 68,
  });
  assert.deepEqual(await findFrame(rangeOf(falseStarts(76, frameWith(1)))), { kind: "gave-up" });
});

test("the checksum of a file is that of its bytes before a length", async () => {
  const content = new Uint8Array(2 * windowBytes + 77).map((_, index) => index * 31);
  const file = new MemoryFile(content).asFile();
  for (const length of [0, 1, windowBytes, windowBytes + 1, content.length]) {
    assert.equal(await checksumOf(file, length), crc32(content.subarray(0, length)), `${length}`);
  }
  assert.equal(await checksumOf(file, content.length + 10), crc32(content));
});
