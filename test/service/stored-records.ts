/** Records as a store reads them, at random: slices of a larger buffer. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../../src/base/limits.js";
import type { StoredRecord } from "../../src/engine/store.js";
import {
  encodeRecord,
  newRecordFields,
  parseRecord,
  recordBytes,
} from "../../src/format/record.js";

export const versions = fc.integer({ min: 1, max: VERSION_MAX });
export const times = fc.oneof(
  fc.integer({ min: 1, max: EXPIRES_AT_MS_MAX }),
  fc.constantFrom(1, 999, 1000, 1001, EXPIRES_AT_MS_MAX),
);
/** 0: never. */
export const expiries = fc.oneof(fc.constant(0), times);
const values = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.constantFrom(127, 128, 16_383, 16_384, 70_000).map((length) => new Uint8Array(length).fill(7)),
);

export const records = fc
  .record({
    key: fc.uint8Array({ minLength: 1, maxLength: 200 }),
    value: values,
    version: versions,
    updatedAtMs: times,
    expiresAtMs: expiries,
  })
  .map(({ key, value, version, updatedAtMs, expiresAtMs }): StoredRecord => {
    const lengthBytes = recordBytes(key.length, value.length, version, updatedAtMs, expiresAtMs);
    // As out of a segment: a slice of a larger buffer.
    const segment = new Uint8Array(lengthBytes + 34);
    encodeRecord(segment, 17, key, value, version, updatedAtMs, expiresAtMs);
    const payload = segment.subarray(17, 17 + lengthBytes);
    const fields = newRecordFields();
    assert.equal(parseRecord(payload, 0, lengthBytes, fields), true);
    const ownValue = payload.subarray(fields.valueStart, fields.valueEnd);
    return { payload, value: ownValue, version, updatedAtMs, expiresAtMs };
  });
