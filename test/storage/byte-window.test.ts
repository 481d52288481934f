/** A window over a file: what it holds, what it reads, and what the disk cannot. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ByteWindow, isReadable, readableBytes } from "../../src/storage/byte-window.js";
import { MemoryFile } from "../support/memory-file.js";

const blockBytes = 4096;
const windowBytes = 1024 * 1024;

/** Bytes that differ from block to block and within one. */
function contentOf(length: number): Uint8Array {
  const content = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) content[at] = (at * 7 + (at >> 12)) & 255;
  return content;
}

const sameBytes = (actual: Uint8Array, expected: Uint8Array): boolean =>
  Buffer.compare(actual, expected) === 0;

test("a window holds what was asked for, and reads nothing that it holds", async () => {
  const content = contentOf(3 * windowBytes);
  const file = new MemoryFile(content);
  const window = new ByteWindow(file.asFile(), content.length);
  assert.equal(await window.moveTo(0, 1), windowBytes);
  assert.ok(!window.isAtLimit);
  assert.equal(await window.moveTo(100, 17), windowBytes - 100);
  assert.equal(await window.moveTo(windowBytes - 17, 17), 17);
  assert.equal(file.reads.length, 1);
  assert.deepEqual([window.start, window.end], [0, windowBytes]);
  assert.equal(await window.moveTo(windowBytes - 16, 17), windowBytes);
  assert.deepEqual(file.reads.at(-1), [windowBytes - 16, windowBytes]);
  assert.ok(sameBytes(window.bytes, content.subarray(window.start, window.end)));
  // Behind the start of the window it has nothing.
  assert.equal(await window.moveTo(windowBytes - 17, 1), windowBytes);
  assert.equal(window.start, windowBytes - 17);
  assert.equal(window.view.getUint8(0), content[windowBytes - 17]);
});

test("R6 V11: a window grows for what is asked for, never past its limit, and shrinks again", async () => {
  const content = contentOf(8 * windowBytes);
  const file = new MemoryFile(content);
  const window = new ByteWindow(file.asFile(), content.length - 10);
  assert.equal(await window.moveTo(5, 6 * windowBytes), 6 * windowBytes);
  assert.ok(sameBytes(window.bytes, content.subarray(5, 5 + 6 * windowBytes)));
  assert.equal(window.view.byteLength, 6 * windowBytes);
  const end = content.length - 10;
  assert.equal(await window.moveTo(end - 100, 2 ** 31), 100);
  assert.ok(window.isAtLimit);
  assert.equal(window.end, end);
  assert.equal(window.view.byteLength, 100);
  assert.equal(await window.moveTo(end, 1), 0);
  assert.equal(await window.moveTo(end + 50, 1), 0);
  const asked = file.reads.map(([, length]) => length);
  assert.deepEqual(asked.slice(0, 2), [6 * windowBytes, 100]);
});

test("a file that ends before the limit has fewer bytes", async () => {
  const file = new MemoryFile(contentOf(300));
  const window = new ByteWindow(file.asFile(), 1000);
  assert.equal(await window.moveTo(0, 17), 300);
  assert.ok(!window.isAtLimit);
  assert.equal(await window.moveTo(250, 17), 50);
  assert.equal(await window.moveTo(300, 17), 0);
});

test("V13: blocks that the disk cannot read come as zeros, and all others as they are", async () => {
  const content = contentOf(6 * blockBytes + 100);
  const expected = content.slice();
  expected.fill(0, blockBytes, 2 * blockBytes);
  expected.fill(0, 4 * blockBytes, 5 * blockBytes);
  for (const start of [0, 50, blockBytes, blockBytes + 50]) {
    const file = new MemoryFile(content, [1, 4]);
    const window = new ByteWindow(file.asFile(), content.length);
    assert.equal(await window.moveTo(start, 1), content.length - start);
    assert.ok(sameBytes(window.bytes, expected.subarray(start)), `from ${start}`);
    assert.deepEqual(window.holes, [Math.max(start, blockBytes), 4 * blockBytes]);
    assert.equal(await window.moveTo(5 * blockBytes, 2 * blockBytes), blockBytes + 100);
  }
});

test("V13: the last block may be one that the disk cannot read, and short", async () => {
  const content = contentOf(2 * blockBytes + 100);
  const file = new MemoryFile(content, [2]);
  const window = new ByteWindow(file.asFile(), 10 * blockBytes);
  assert.equal(await window.moveTo(0, 1), content.length);
  assert.deepEqual(window.holes, [2 * blockBytes]);
  const expected = content.slice();
  expected.fill(0, 2 * blockBytes);
  assert.ok(sameBytes(window.bytes, expected));
  // What lay in the window before is not what the disk could not read.
  file.content = new Uint8Array(2 * blockBytes + 100).fill(9);
  const again = new ByteWindow(file.asFile(), 2 * blockBytes + 100);
  await again.moveTo(0, 1);
  assert.ok(again.bytes.subarray(2 * blockBytes).every((byte) => byte === 0));
});

test("holes are those of the last read", async () => {
  const content = contentOf(2 * windowBytes);
  const file = new MemoryFile(content, [1]);
  const window = new ByteWindow(file.asFile(), content.length);
  await window.moveTo(0, 1);
  assert.deepEqual(window.holes, [blockBytes]);
  await window.moveTo(windowBytes, 1);
  assert.deepEqual(window.holes, []);
});

test("V13 R7: who refuses holes gets the disk's error, and everybody gets any other", async () => {
  const content = contentOf(3 * blockBytes);
  const refusing = new ByteWindow(new MemoryFile(content, [1]).asFile(), content.length, true);
  await assert.rejects(refusing.moveTo(0, 1), { code: "EIO" });
  const other = new ByteWindow(new MemoryFile(content, [1], "EBADF").asFile(), content.length);
  await assert.rejects(other.moveTo(0, 1), { code: "EBADF" });
  const turning = new MemoryFile(content, [1]);
  const read = turning.read.bind(turning);
  turning.read = async (target, position) => {
    // The whole is refused with EIO, a block of it with another error.
    if (target.length > blockBytes) return await read(target, position);
    throw Object.assign(new Error("closed"), { code: "EBADF" });
  };
  const window = new ByteWindow(turning.asFile(), content.length);
  await assert.rejects(window.moveTo(0, 1), { code: "EBADF" });
});

test("V13: a range is readable if no block of it is refused", async () => {
  const content = contentOf(2 * windowBytes);
  const bad = (windowBytes + 8 * blockBytes) / blockBytes;
  const file = new MemoryFile(content, [bad]).asFile();
  assert.ok(!(await isReadable(file, 0, content.length)));
  assert.ok(!(await isReadable(file, bad * blockBytes, bad * blockBytes + 1)));
  assert.ok(await isReadable(file, 0, bad * blockBytes));
  assert.ok(await isReadable(file, (bad + 1) * blockBytes, content.length));
  assert.ok(await isReadable(file, 7, 7));
  // A file that is shorter than the range: what is not there is not refused.
  assert.ok(await isReadable(file, (bad + 1) * blockBytes, 3 * windowBytes));
});

test("V13: what a disk can read of a range comes whole and in order, and nothing for its holes", async () => {
  const content = contentOf(windowBytes + 6 * blockBytes);
  const holes = [0, 3, 4, 256 + 2];
  const pieces: [number, number][] = [];
  const from = 100;
  const to = content.length - 50;
  const file = new MemoryFile(content, holes).asFile();
  for await (const { bytes, position } of readableBytes(file, from, to)) {
    assert.ok(sameBytes(bytes, content.subarray(position, position + bytes.length)));
    pieces.push([position, position + bytes.length]);
  }
  assert.deepEqual(pieces, [
    [blockBytes, 3 * blockBytes],
    [5 * blockBytes, windowBytes + from],
    [windowBytes + from, 258 * blockBytes],
    [259 * blockBytes, to],
  ]);
});

test("a file that has become shorter while it is read is an error, not its end", async () => {
  const file = new MemoryFile(contentOf(500));
  const read = async (): Promise<number> => {
    let bytes = 0;
    for await (const piece of readableBytes(file.asFile(), 100, 600)) bytes += piece.bytes.length;
    return bytes;
  };
  await assert.rejects(read(), /become shorter/);
  file.content = contentOf(600);
  assert.equal(await read(), 500);
});
