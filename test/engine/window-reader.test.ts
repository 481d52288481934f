/** Windows of a scan: what one turn does at most, who is asked between two reads, and what is kept. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ByteBudget } from "../../src/engine/byte-budget.js";
import { PlaceReader } from "../../src/engine/place-reader.js";
import type { RecordReader } from "../../src/engine/record-reader.js";
import { ReadAhead } from "../../src/engine/scan/read-ahead.js";
import { ScanWindow } from "../../src/engine/scan/scan-window.js";
import { WindowReader } from "../../src/engine/scan/window-reader.js";
import type { StoredRecord } from "../../src/engine/store-records.js";
import { FRAME_HEADER_BYTES } from "../../src/format/frame.js";
import type { Clock } from "../../src/host/host.js";
import type { SegmentSet } from "../../src/storage/segment-set.js";

const unspaced = { before: () => 0, after: () => 0, behind: 0 };
const wide = { bytesMax: 4_194_304, keysOnly: false, recordsMax: 32_768, partsMax: 64 };

/** A window of records of one length, with gaps as `gapBytes` says of each. */
function windowOf(
  count: number,
  recordBytes: number,
  gapBytes: (at: number) => number,
  keyBytes = 1,
): ScanWindow {
  const window = new ScanWindow();
  window.begin(wide);
  const key = new Uint8Array(keyBytes);
  let offset = 0;
  for (let at = 0; at < count && !window.isFull; at += 1) {
    window.addEntry({ key, version: at + 1, expiresAtMs: 0, recordBytes, segment: 1, offset });
    offset += FRAME_HEADER_BYTES + recordBytes + gapBytes(at);
  }
  window.finish();
  return window;
}

/** A disk whose records are all sound, and what is done with it turn by turn. */
class Disk {
  /** Whether it can be read at once, several records together and one by one. */
  readsChunks = true;
  readsSingles = true;
  onRead: () => void = () => undefined;
  chunks = 0;
  verified = 0;
  singles = 0;
  bytes = 0;
  worst = { verified: 0, singles: 0, bytes: 0 };

  reader(): WindowReader {
    const reader = {
      readsAtOnce: () => this.readsSingles,
      fill: (target: Uint8Array) => {
        this.chunks += 1;
        if (this.readsChunks) this.bytes += target.length;
        return this.readsChunks;
      },
      verifyIn: () => {
        this.verified += 1;
        return true;
      },
      readRun: () => undefined,
      read: (_segment: unknown, _offset: number, length: number) => {
        this.singles += 1;
        this.bytes += length;
        this.onRead();
        const payload = new Uint8Array(length - FRAME_HEADER_BYTES);
        const record = { payload } as unknown as StoredRecord;
        return this.readsSingles ? record : Promise.resolve(record);
      },
    } as unknown as RecordReader;
    const segments = { at: () => ({}) } as unknown as SegmentSet;
    const clock = {
      soon: (go: () => void) => {
        this.endTurn();
        setImmediate(go);
      },
    } as unknown as Clock;
    const places = new PlaceReader({ segments, reader, clock });
    return new WindowReader({ segments, reader, places, clock });
  }

  endTurn(): void {
    const { worst } = this;
    worst.verified = Math.max(worst.verified, this.verified);
    worst.singles = Math.max(worst.singles, this.singles);
    worst.bytes = Math.max(worst.bytes, this.bytes);
    this.verified = 0;
    this.singles = 0;
    this.bytes = 0;
  }
}

test("one turn verifies 1,024 records, reads 256 by themselves, or 1 MiB, and a chunk more (V11)", async () => {
  const cases = [
    { readsChunks: true, count: 20_000, recordBytes: 12, gapBytes: 0 },
    { readsChunks: false, count: 20_000, recordBytes: 12, gapBytes: 0 },
    { readsChunks: true, count: 250, recordBytes: 16_000, gapBytes: 0 },
    { readsChunks: true, count: 250, recordBytes: 16_000, gapBytes: 10_000 },
  ];
  for (const { readsChunks, count, recordBytes, gapBytes } of cases) {
    const disk = new Disk();
    disk.readsChunks = readsChunks;
    const window = windowOf(count, recordBytes, () => gapBytes);
    await disk.reader().read(window, unspaced, undefined);
    disk.endTurn();
    assert.ok(disk.worst.verified <= 1024 + 256, `${disk.worst.verified} verified`);
    assert.ok(disk.worst.singles <= 512, `${disk.worst.singles} by themselves`);
    assert.ok(disk.worst.bytes <= 1.25 * 1024 * 1024, `${disk.worst.bytes} bytes`);
  }
});

test("nothing more is read once a scan has ended while the disk was answering (V7)", async () => {
  const disk = new Disk();
  disk.readsSingles = false;
  const ended = new AbortController();
  // A chunk, 256 that are read by themselves, in two turns, and another chunk.
  const window = windowOf(500, 100, (at) => (at >= 199 && at < 456 ? 10_000 : 0));
  let reads = 0;
  disk.onRead = () => {
    reads += 1;
    if (reads === 256) ended.abort();
  };
  const reading = disk.reader().read(window, unspaced, ended.signal);
  await assert.rejects(reading, { reason: "CANCELLED" });
  assert.equal(disk.chunks, 1);
});

test("a window that had many parts keeps no memory of them when it has one again (G-SCAN-8, V11)", () => {
  const window = windowOf(30_000, 1000, () => 0, 900);
  assert.ok(window.order.length > 2048 && window.keys.length > 1024 * 1024);
  const { isHolding } = window;
  assert.ok(isHolding);
  const held = window.entry(window.count);
  window.begin({ ...wide, partsMax: 1 });
  assert.ok(window.order.length <= 2048, `${window.order.length} places`);
  assert.ok(window.keys.length <= 256 * 1024, `${window.keys.length} bytes of keys`);
  window.finish();
  assert.deepEqual(window.entry(0), held);
});

test("large records tell nothing of how the small ones behind them lie", () => {
  const ahead = new ReadAhead(new ByteBudget(64 * 1024 * 1024));
  const step = (records: number, reads: number): number => {
    ahead.giveBack();
    const parts = ahead.begin();
    ahead.learn(records, reads);
    return parts;
  };
  for (let at = 0; at < 8; at += 1) assert.ok(step(1, 1) <= 4);
  assert.deepEqual([step(1200, 400), step(4800, 1600), step(19_200, 4800)], [4, 16, 64]);
});
