/** Frames of plain records, held against those that are encoded one by one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VERSION_MAX } from "../../src/base/limits.js";
import { FRAME_HEADER_BYTES, writeFrameHeader } from "../../src/format/frame.js";
import { PLACES_PER_RECORD, PlainFrames } from "../../src/format/plain-frames.js";
import { encodeRecord, recordBytes } from "../../src/format/record.js";
import { runOf } from "../support/set-runs.js";

const bytesUpTo = (min: number) =>
  fc.oneof(
    fc.uint8Array({ minLength: min, maxLength: 40 }),
    fc.uint8Array({ minLength: 120, maxLength: 300 }),
  );

test("a frame of a plain record has the bytes that it has alone", () => {
  const records = fc.array(fc.record({ key: bytesUpTo(1), value: bytesUpTo(0) }), { minLength: 1 });
  const instants = fc.oneof(
    fc.constantFrom(0, 1, 999, 1000, 1_001_000),
    fc.integer({ min: 0, max: 9_000_000_000_000 }),
  );
  const versions = fc.integer({ min: 1, max: VERSION_MAX - 1000 });
  fc.assert(
    fc.property(records, instants, versions, fc.nat(9), (made, nowMs, firstVersion, start) => {
      const target = new Uint8Array(64 * 1024).fill(0xee);
      const view = new DataView(target.buffer);
      // The source is a window of something larger, as a message is.
      const around = Buffer.concat([new Uint8Array(3), runOf(made).source]);
      const frames = new PlainFrames(around.subarray(3), nowMs);
      const { places } = runOf(made);
      const expected = new Uint8Array(64 * 1024).fill(0xee);
      const expectedView = new DataView(expected.buffer);
      let at = start;
      for (const [index, { key, value }] of made.entries()) {
        const version = firstVersion + index;
        const payloadBytes = recordBytes(key.length, value.length, version, nowMs, 0);
        if (at + FRAME_HEADER_BYTES + payloadBytes > target.length) break;
        writeFrameHeader(expectedView, at, payloadBytes, 0, nowMs);
        encodeRecord(expected, at + FRAME_HEADER_BYTES, key, value, version, nowMs, 0);
        const end = frames.encode(target, view, at, places, index * PLACES_PER_RECORD, version);
        assert.equal(end, at + FRAME_HEADER_BYTES + payloadBytes);
        at = end;
      }
      assert.ok(Buffer.compare(target, expected) === 0);
    }),
  );
});
