/** Spliced pages, held byte for byte against the generated encoder. */
import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import {
  KvTextServiceListResponseSchema,
  ListResponseSchema,
  RecordSchema,
  ScanResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { ListedRecord, Omission, StoredRecord } from "../../src/engine/store.js";
import { encodeListAnswer } from "../../src/service/list-answers.js";
import { pageToken } from "../../src/service/page-token.js";
import { encodeScanAnswer, scanSpacing } from "../../src/service/scan.js";
import { SimRandom } from "../support/sim-random.js";
import { Rig } from "../support/store-rig.js";
import { expiries, records, versions } from "./stored-records.js";

const omissions = fc.constantFrom<Omission>("keys-only", "too-large", "unreadable");
const bareRecords = fc.record({
  key: fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.constant(new Uint8Array(65_535)),
  ),
  version: versions,
  expiresAtMs: expiries,
  recordBytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  record: omissions,
});

const listed: fc.Arbitrary<ListedRecord> = fc.oneof(records.map(wholeOf), bareRecords);
const tokens = fc.oneof(fc.constant(""), fc.stringMatching(/^[A-Za-z0-9_-]{1,200}$/));

function wholeOf(record: StoredRecord): ListedRecord {
  const { version, expiresAtMs, payload } = record;
  const { key } = fromBinary(RecordSchema, payload);
  return { key, version, expiresAtMs, recordBytes: payload.byteLength, record };
}

/** The Record of a listed one as a message. */
function messageOf({ key, version, expiresAtMs, record }: ListedRecord) {
  if (typeof record !== "string") return fromBinary(RecordSchema, record.payload);
  const expiry = expiresAtMs === 0 ? {} : { expireTime: timestampFromMs(expiresAtMs) };
  return create(RecordSchema, { key, version: BigInt(version), ...expiry });
}

const marksOf = ({ record, recordBytes }: ListedRecord) => ({
  recordBytes,
  valueOmitted: record === "too-large" || record === "unreadable",
  unreadable: record === "unreadable",
});

test("a spliced ListResponse is what the generated encoder gives, byte for byte", () => {
  fc.assert(
    fc.property(fc.array(listed, { maxLength: 12 }), tokens, versions, (page, token, version) => {
      const answer = encodeListAnswer(
        { records: page, after: undefined, version },
        token,
        () => true,
      );
      const expected = create(ListResponseSchema, {
        records: page.map((each) => ({ record: messageOf(each), ...marksOf(each) })),
        nextPageToken: token,
        storeVersion: BigInt(version),
      });
      assert.deepEqual(Buffer.from(answer), Buffer.from(toBinary(ListResponseSchema, expected)));
    }),
  );
});

test("a spliced ScanResponse is what the generated encoder gives, byte for byte", () => {
  const wholeOnly = fc.array(records.map(wholeOf), { maxLength: 12 });
  const parts = fc.oneof(wholeOnly, fc.array(listed, { maxLength: 12 }));
  fc.assert(
    fc.property(parts, versions, (part, version) => {
      const answer = encodeScanAnswer({ records: part, version });
      const expected = create(ScanResponseSchema, {
        records: part.map((each) => ({ record: messageOf(each), ...marksOf(each) })),
        storeVersion: BigInt(version),
      });
      assert.deepEqual(Buffer.from(answer), Buffer.from(toBinary(ScanResponseSchema, expected)));
    }),
  );
});

test("a ScanResponse around packed records is the same, byte for byte", () => {
  const some = fc.array(records.map(wholeOf), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(some, versions, (part, version) => {
      const recordBytes = part.map((each) => each.recordBytes);
      const room = recordBytes.reduce(
        (sum, each) => sum + scanSpacing.before(each) + each + scanSpacing.after(each),
        scanSpacing.behind,
      );
      const bytes = Buffer.alloc(room, 0xff);
      let end = 0;
      for (const { record } of part) {
        const { payload } = record as StoredRecord;
        end += scanSpacing.before(payload.length);
        bytes.set(payload, end);
        end += payload.length + scanSpacing.after(payload.length);
      }
      const packed = { bytes, recordBytes };
      assert.deepEqual(
        Buffer.from(encodeScanAnswer({ records: [], packed, version })),
        Buffer.from(encodeScanAnswer({ records: part, version })),
      );
    }),
  );
});

test("what is no text leaves its field empty and stands beside the record, byte for byte", () => {
  fc.assert(
    fc.property(fc.array(listed, { maxLength: 12 }), versions, (page, version) => {
      const answer = encodeListAnswer({ records: page, after: undefined, version }, "", isUtf8);
      const expected = create(KvTextServiceListResponseSchema, {
        records: page.map((each) => {
          const { key, value, ...rest } = messageOf(each);
          const { $typeName: _, ...times } = rest;
          return {
            record: {
              ...times,
              ...(isUtf8(key) && { key: Buffer.from(key).toString() }),
              ...(isUtf8(value) && { value: Buffer.from(value).toString() }),
            },
            ...marksOf(each),
            ...(!isUtf8(key) && { rawKey: key }),
            ...(!isUtf8(value) && { rawValue: value }),
          };
        }),
        storeVersion: BigInt(version),
      });
      const encoded = toBinary(KvTextServiceListResponseSchema, expected);
      assert.deepEqual(Buffer.from(answer), Buffer.from(encoded));
    }),
  );
});

/** Asserts that all pages of a list stay within `bytesMax`; answers how much the fullest left. */
async function assertWithin(rig: Rig, records: number, bytesMax: number): Promise<number> {
  let tightest = Number.POSITIVE_INFINITY;
  for (const keysOnly of [false, true]) {
    for (const reverse of [false, true]) {
      let after: Uint8Array | undefined;
      let found = 0;
      do {
        const page = await rig.store.list({ bytesMax, keysOnly, reverse, limit: 10_000, after });
        const token = pageToken(["List", new Uint8Array(0), keysOnly], page.after);
        for (const carries of [() => true, isUtf8]) {
          const answer = encodeListAnswer(page, token, carries);
          assert.ok(answer.byteLength <= bytesMax, `${answer.byteLength} of ${bytesMax}`);
          if (page.after !== undefined) {
            tightest = Math.min(tightest, bytesMax - answer.byteLength);
          }
        }
        found += page.records.length;
        after = page.after;
      } while (after !== undefined);
      assert.equal(found, records);
    }
  }
  return tightest;
}

const latest = { kind: "at", atMs: 2 ** 47 - 1 } as const;

test("V11: a page of small records is never larger than it may be", async () => {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024 });
  const keys = Array.from({ length: 6000 }, (_, index) => Buffer.from(String(index)));
  for (const expiry of [latest, { kind: "never" } as const]) {
    const sets = keys.map((key) => ({ kind: "set", key, value: Buffer.of(0xff), expiry }) as const);
    await rig.store.commit(sets);
    const left = await assertWithin(rig, keys.length, 100_000);
    assert.ok(left < 60_000, `a page is filled but for ${left} bytes`);
  }
  await rig.store.close();
});

test("V11: a page of records of all sizes is never larger than it may be, its token included", async () => {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024 });
  const random = new SimRandom(7);
  const keys = new Set<string>();
  for (let index = 0; index < 150; index += 1) {
    const keyBytes = random.below(4) === 0 ? 1 + random.below(65_535) : 1 + random.below(40);
    const valueBytes = random.below(8) === 0 ? random.below(300_000) : random.below(3000);
    const expiry = random.below(2) === 0 ? ({ kind: "never" } as const) : latest;
    const key = String.fromCharCode(97 + random.below(26)).repeat(keyBytes);
    keys.add(key);
    const value = Buffer.alloc(valueBytes, 0xff);
    await rig.store.set(Buffer.from(key), value, expiry, { durability: "buffered" });
  }
  for (const bytesMax of [262_144, 300_000, 500_000, 1_000_000]) {
    const left = await assertWithin(rig, keys.size, bytesMax);
    assert.ok(left < 60_000, `a page of ${bytesMax} is filled but for ${left} bytes`);
  }
  await rig.store.close();
});
