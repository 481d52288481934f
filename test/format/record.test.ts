/** Records and tombstones against the generated code, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { RecordSchema } from "../../gen/kvix/v1/kvix_pb.js";
import {
  EXPIRES_AT_MS_MAX,
  KEY_BYTES_MAX,
  VALUE_BYTES_MAX,
  VERSION_MAX,
} from "../../src/base/limits.js";
import {
  encodeRecord,
  encodeRecordHead,
  encodeRecordTail,
  encodeTombstone,
  newRecordFields,
  parseRecord,
  RECORD_TAIL_BYTES_MAX,
  recordBytes,
  recordHeadBytes,
  tombstoneBytes,
} from "../../src/format/record.js";
import { concat, noBytes, recordOf, text, tombstoneOf } from "./frames.js";

interface Sample {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: number;
  readonly updatedAtMs: number;
  readonly expiresAtMs: number;
}

const bytesUpTo = (min: number, max: number) =>
  fc.oneof(
    fc.uint8Array({ minLength: min, maxLength: 40 }),
    fc
      .tuple(fc.constantFrom(127, 128, 129, 16_383, 16_384, max), fc.nat(255))
      .map(([length, fill]) => new Uint8Array(Math.min(length, max)).fill(fill)),
  );
const powers = Array.from({ length: 48 }, (_, bits) => 2 ** bits);
const anyVersion = fc.oneof(
  fc.constantFrom(...powers, ...powers.slice(1).map((power) => power - 1), VERSION_MAX),
  fc.integer({ min: 1, max: VERSION_MAX }),
);
const edgeTimes = [1, 999, 1_000, 1_001, 127_999, 128_000, 2 ** 31 * 1_000, EXPIRES_AT_MS_MAX];
const anyTime = fc.oneof(
  fc.constantFrom(...edgeTimes),
  fc.integer({ min: 1, max: EXPIRES_AT_MS_MAX }),
  fc.integer({ min: 1, max: 2 ** 32 }),
);
const anySample: fc.Arbitrary<Sample> = fc.record(
  {
    key: bytesUpTo(1, KEY_BYTES_MAX),
    value: bytesUpTo(0, 2 ** 21 + 1),
    version: anyVersion,
    updatedAtMs: fc.oneof(fc.constant(0), anyTime),
    expiresAtMs: fc.oneof(fc.constant(0), anyTime),
  },
  { noNullPrototype: true },
);

const timestampOf = (ms: number) => ({
  seconds: BigInt(Math.floor(ms / 1_000)),
  nanos: (ms % 1_000) * 1_000_000,
});

/** What the generated code makes of it. */
function generatedEncoding(sample: Sample): Uint8Array {
  const { key, value, version, updatedAtMs, expiresAtMs } = sample;
  return toBinary(
    RecordSchema,
    create(RecordSchema, {
      key,
      value,
      version: BigInt(version),
      updateTime: timestampOf(updatedAtMs),
      ...(expiresAtMs === 0 ? {} : { expireTime: timestampOf(expiresAtMs) }),
    }),
  );
}

function encodingOf(sample: Sample): Uint8Array {
  const { key, value, version, updatedAtMs, expiresAtMs } = sample;
  return recordOf(key, value, version, updatedAtMs, expiresAtMs);
}

/** What parsing says, as a sample; undefined: refused. */
function parsed(bytes: Uint8Array, start = 0, end = bytes.length): Sample | undefined {
  const fields = newRecordFields();
  if (!parseRecord(bytes, start, end, fields)) return undefined;
  return {
    key: bytes.slice(fields.keyStart, fields.keyEnd),
    value: bytes.slice(fields.valueStart, fields.valueEnd),
    version: fields.version,
    updatedAtMs: fields.updatedAtMs,
    expiresAtMs: fields.expiresAtMs,
  };
}

test("a record is encoded byte for byte as the generated code does", () => {
  fc.assert(
    fc.property(anySample, (sample) => {
      const expected = generatedEncoding(sample);
      const { key, value, version, updatedAtMs, expiresAtMs } = sample;
      const bytes = new Uint8Array(expected.length + 9).fill(0xee);
      const end = encodeRecord(bytes, 5, key, value, version, updatedAtMs, expiresAtMs);
      assert.equal(end, 5 + expected.length);
      assert.equal(
        recordBytes(key.length, value.length, version, updatedAtMs, expiresAtMs),
        expected.length,
      );
      assert.ok(Buffer.from(bytes.subarray(5, end)).equals(expected));
      assert.deepEqual([...bytes.subarray(0, 5), ...bytes.subarray(end)], Array(9).fill(0xee));
    }),
    { numRuns: 400 },
  );
});

test("a record is parsed back to what it was made of, wherever it lies", () => {
  fc.assert(
    fc.property(anySample, fc.nat(9), fc.nat(9), (sample, before, after) => {
      const payload = encodingOf(sample);
      const bytes = concat(new Uint8Array(before), payload, new Uint8Array(after));
      assert.deepEqual(parsed(bytes, before, before + payload.length), sample);
    }),
    { numRuns: 400 },
  );
});

test("a tombstone is a record without value and expiry", () => {
  fc.assert(
    fc.property(anySample, ({ key, version, updatedAtMs }) => {
      const expected = { key, value: noBytes, version, updatedAtMs, expiresAtMs: 0 };
      const bytes = tombstoneOf(key, version, updatedAtMs);
      assert.ok(Buffer.from(bytes).equals(generatedEncoding(expected)));
      assert.equal(tombstoneBytes(key.length, version, updatedAtMs), bytes.length);
      assert.equal(encodeTombstone(bytes, 0, key, version, updatedAtMs), bytes.length);
      assert.deepEqual(parsed(bytes), expected);
    }),
    { numRuns: 200 },
  );
});

test("I6 the largest record has the length that was foretold, and is parsed", () => {
  const key = new Uint8Array(KEY_BYTES_MAX).fill(0xff);
  const value = new Uint8Array(VALUE_BYTES_MAX);
  const bytes = recordOf(key, value, VERSION_MAX, EXPIRES_AT_MS_MAX, EXPIRES_AT_MS_MAX);
  const fields = newRecordFields();
  assert.ok(parseRecord(bytes, 0, bytes.length, fields));
  assert.equal(fields.valueEnd - fields.valueStart, VALUE_BYTES_MAX);
  assert.equal(fields.keyEnd - fields.keyStart, KEY_BYTES_MAX);
  assert.equal(fields.expiresAtMs, EXPIRES_AT_MS_MAX);
});

test("I5 I6 keys and values are bytes: no content is special", () => {
  const contents = ["\0", "__proto__", "constructor", "bitcask_tombstone", "\u00e9", "e\u0301"];
  const special = [...contents.map(text), Uint8Array.of(0xff), Uint8Array.of(0xed, 0xa0, 0x80)];
  for (const key of special) {
    for (const value of [noBytes, ...special, recordOf(key, key, 1), tombstoneOf(key, 1)]) {
      const sample = { key, value, version: 9, updatedAtMs: 1, expiresAtMs: 0 };
      assert.deepEqual(parsed(encodingOf(sample)), sample);
    }
  }
});

test("a record cut at any length, or with anything behind it, is refused", () => {
  const bytes = recordOf(text("user:1"), text("Ada"), 300, 1_700_000_000_123, 1_700_000_060_123);
  assert.ok(parsed(bytes) !== undefined);
  const withoutExpiry = recordOf(text("user:1"), text("Ada"), 300, 1_700_000_000_123).length;
  for (let end = 0; end < bytes.length; end++) {
    // Where the expiry begins, the record without it ends; the frame's size tells the two apart.
    assert.equal(parsed(bytes, 0, end) !== undefined, end === withoutExpiry, `cut at ${end}`);
  }
  for (let byte = 0; byte < 256; byte++) {
    assert.equal(parsed(concat(bytes, Uint8Array.of(byte))), undefined);
  }
});

test("whatever is parsed is the canonical encoding: any mutation is refused or reads as itself", () => {
  const mutation = fc.record({
    at: fc.nat(),
    remove: fc.nat(3),
    insert: fc.uint8Array({ maxLength: 3 }),
  });
  const small = fc.record({
    key: fc.uint8Array({ minLength: 1, maxLength: 6 }),
    value: fc.uint8Array({ maxLength: 6 }),
    version: anyVersion,
    updatedAtMs: fc.oneof(fc.constant(0), anyTime),
    expiresAtMs: fc.oneof(fc.constant(0), anyTime),
  });
  fc.assert(
    fc.property(small, mutation, (sample, { at, remove, insert }) => {
      const bytes = encodingOf(sample);
      const from = at % (bytes.length + 1);
      const mutated = concat(bytes.subarray(0, from), insert, bytes.subarray(from + remove));
      const found = parsed(mutated);
      if (found !== undefined) assert.deepEqual(mutated, encodingOf(found));
    }),
    { numRuns: 5_000 },
  );
});

const hex = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, "hex"));

test("what protobuf would take but kvix never writes is refused", () => {
  const cases: Record<string, string> = {
    "no key": "18012200",
    "an empty key": "0a0018012200",
    "an empty value": "0a016b120018012200",
    "no version": "0a016b2200",
    "version 0": "0a016b18002200",
    "version 2^48": "0a016b18808080808080402200",
    "a version longer than it need be": "0a016b1881002200",
    "a key length longer than it need be": "0a81006b18012200",
    "no update time": "0a016b1801",
    "fields out of order": "18010a016b2200",
    "a field twice": "0a016b0a016b18012200",
    "an unknown field": "0a016b180122003001",
    "an unknown field in a time": "0a016b180122021801",
    "zero seconds": "0a016b180122020800",
    "zero nanos": "0a016b180122021000",
    "nanos before seconds": "0a016b1801220610c0843d0801",
    "a part of a millisecond": "0a016b180122021001",
    "a whole second of nanos": "0a016b18012206108094ebdc03",
    "a second and more of nanos": "0a016b1801220808011080daf1eb04",
    "seconds cut off": "0a016b180122020880",
    "seconds past the year 9999": "0a016b18012207088083d1ffaf07",
    "negative seconds": "0a016b1801220b08ffffffffffffffffff01",
    "an expiry at 0 ms": "0a016b180122002a00",
    "a group": "0a016b180122002b2c",
  };
  for (const [name, digits] of Object.entries(cases)) {
    assert.equal(parsed(hex(digits)), undefined, name);
  }
  assert.ok(parsed(hex("0a016b18012200")) !== undefined);
  // Most of them are sound protobuf, so it is not for malformed bytes that they are refused.
  assert.equal(fromBinary(RecordSchema, hex(cases["an unknown field"] ?? "")).version, 1n);
});

test("lengths past the limits are refused", () => {
  const fields = newRecordFields();
  const longKey = recordOf(new Uint8Array(KEY_BYTES_MAX + 1), noBytes, 1);
  assert.equal(parseRecord(longKey, 0, longKey.length, fields), false);
  const longValue = recordOf(text("k"), new Uint8Array(VALUE_BYTES_MAX + 1), 1);
  assert.equal(parseRecord(longValue, 0, longValue.length, fields), false);
});

test("a record written in parts around its value is the record written at once", () => {
  fc.assert(
    fc.property(anySample, (sample) => {
      const { key, value, version, updatedAtMs, expiresAtMs } = sample;
      const whole = encodingOf(sample);
      const headBytes = recordHeadBytes(key.length, value.length);
      const bytes = new Uint8Array(headBytes + RECORD_TAIL_BYTES_MAX);
      assert.equal(encodeRecordHead(bytes, 0, key, value.length), headBytes);
      const end = encodeRecordTail(bytes, headBytes, version, updatedAtMs, expiresAtMs);
      const parts = [bytes.subarray(0, headBytes), value, bytes.subarray(headBytes, end)];
      assert.ok(Buffer.concat(parts).equals(whole));
    }),
    { numRuns: 300 },
  );
});
