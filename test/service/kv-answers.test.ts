/** The spliced answers, held byte for byte against the generated encoder. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import {
  DeleteResponseSchema,
  ExistsResponseSchema,
  GetResponseSchema,
  type Record,
  RecordSchema,
  SetResponseSchema,
  TouchResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../../src/base/limits.js";
import type { StoredRecord } from "../../src/engine/store.js";
import { ANSWER_OVERHEAD_BYTES_MAX } from "../../src/rpc/answer-writer.js";
import {
  encodeDeleteAnswer,
  encodeExistsAnswer,
  encodeGetAnswer,
  encodeSetAnswer,
  encodeTouchAnswer,
  fitsMessage,
} from "../../src/service/kv-answers.js";
import { expiries, records, versions } from "./stored-records.js";

const maybeRecords = fc.option(records, { nil: undefined });
const wholeLimits = { messageBytesMax: 4_194_304, carries: () => true };

function decoded(record: StoredRecord | undefined): { record?: Record } {
  return record === undefined ? {} : { record: fromBinary(RecordSchema, record.payload) };
}

function time(ms: number) {
  return ms === 0 ? {} : { expireTime: timestampFromMs(ms) };
}

function assertSame(
  schema: DescMessage,
  spliced: Uint8Array,
  fields: { readonly [name: string]: unknown },
): void {
  assert.deepEqual(Buffer.from(spliced), Buffer.from(toBinary(schema, create(schema, fields))));
}

test("a spliced GetResponse is what the generated encoder gives, byte for byte", () => {
  fc.assert(
    fc.property(maybeRecords, versions, (record, storeVersion) => {
      assertSame(GetResponseSchema, encodeGetAnswer(record, storeVersion), {
        ...decoded(record),
        storeVersion: BigInt(storeVersion),
      });
    }),
  );
});

test("an ExistsResponse is what the generated encoder gives, byte for byte", () => {
  const facts = fc.record({
    version: versions,
    expiresAtMs: expiries,
    recordBytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  });
  fc.assert(
    fc.property(fc.option(facts, { nil: undefined }), fc.nat(), (found, storeVersion) => {
      assertSame(ExistsResponseSchema, encodeExistsAnswer(found, storeVersion), {
        storeVersion: BigInt(storeVersion),
        ...(found && {
          exists: true,
          version: BigInt(found.version),
          ...time(found.expiresAtMs),
          recordBytes: found.recordBytes,
        }),
      });
    }),
  );
});

test("a spliced SetResponse is what the generated encoder gives, byte for byte", () => {
  const flags = fc.boolean();
  fc.assert(
    fc.property(
      maybeRecords,
      flags,
      versions,
      expiries,
      (record, applied, version, expiresAtMs) => {
        const written = applied ? { version, expiresAtMs } : { version: 0, expiresAtMs: 0 };
        const previous = applied ? record : undefined;
        const current = applied ? undefined : record;
        const result = { applied, ...written, previous, current };
        assertSame(SetResponseSchema, encodeSetAnswer(result, version, wholeLimits), {
          applied,
          version: BigInt(written.version),
          ...time(written.expiresAtMs),
          ...(previous && { previous: decoded(previous).record }),
          ...(current && { current: decoded(current).record }),
          recordBytes: record?.payload.byteLength ?? 0,
          storeVersion: BigInt(version),
        });
      },
    ),
  );
});

test("a spliced DeleteResponse is what the generated encoder gives, byte for byte", () => {
  const flags = fc.boolean();
  fc.assert(
    fc.property(maybeRecords, flags, flags, versions, (record, applied, deleted, version) => {
      const previous = applied ? record : undefined;
      const current = applied ? undefined : record;
      const result = { applied, deleted, version, previous, current };
      assertSame(DeleteResponseSchema, encodeDeleteAnswer(result, version, wholeLimits), {
        applied,
        deleted,
        version: BigInt(version),
        ...(previous && { previous: decoded(previous).record }),
        ...(current && { current: decoded(current).record }),
        recordBytes: record?.payload.byteLength ?? 0,
        storeVersion: BigInt(version),
      });
    }),
  );
});

test("a spliced TouchResponse is what the generated encoder gives, byte for byte", () => {
  fc.assert(
    fc.property(maybeRecords, fc.boolean(), versions, expiries, (current, found, version, ms) => {
      const applied = current === undefined;
      const result = { applied, found, version, expiresAtMs: ms, current };
      assertSame(TouchResponseSchema, encodeTouchAnswer(result, version, wholeLimits), {
        applied,
        found,
        version: BigInt(version),
        ...time(ms),
        ...(current && { current: decoded(current).record }),
        recordBytes: current?.payload.byteLength ?? 0,
        storeVersion: BigInt(version),
      });
    }),
  );
});

test("a record that may not go whole comes without its value and with its full size", () => {
  fc.assert(
    fc.property(records, fc.boolean(), (record, isPrevious) => {
      fc.pre(record.value.length > 0);
      const limits = isPrevious
        ? {
            messageBytesMax: record.payload.length + ANSWER_OVERHEAD_BYTES_MAX - 1,
            carries: () => true,
          }
        : { messageBytesMax: 4_194_304, carries: () => false };
      const [previous, current] = isPrevious ? [record, undefined] : [undefined, record];
      const result = { applied: isPrevious, version: 0, expiresAtMs: 0, previous, current };
      const bare = { ...fromBinary(RecordSchema, record.payload), value: new Uint8Array(0) };
      assertSame(SetResponseSchema, encodeSetAnswer(result, 9, limits), {
        applied: isPrevious,
        [isPrevious ? "previous" : "current"]: bare,
        valueOmitted: true,
        recordBytes: record.payload.byteLength,
        storeVersion: 9n,
      });
    }),
  );
});

test("what fitsMessage lets pass stays within the message, with every other field at its longest", () => {
  const long = fc.sample(records, { numRuns: 50, seed: 1 });
  for (const record of long) {
    const messageBytesMax = record.payload.byteLength + ANSWER_OVERHEAD_BYTES_MAX;
    assert.equal(fitsMessage(record.payload.byteLength, messageBytesMax), true);
    assert.equal(fitsMessage(record.payload.byteLength, messageBytesMax - 1), false);
    const limits = { messageBytesMax, carries: () => true };
    const result = {
      applied: true,
      version: VERSION_MAX,
      expiresAtMs: EXPIRES_AT_MS_MAX,
      previous: record,
      current: undefined,
    };
    const answer = encodeSetAnswer(result, VERSION_MAX, limits);
    assert.ok(answer.byteLength <= messageBytesMax);
    assert.equal(fromBinary(SetResponseSchema, answer).valueOmitted, false);
  }
});
