/** PipelineRequests taken apart, and results put together, held against the generated code. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  GetRequestSchema,
  GetResponseSchema,
  PipelineOperationSchema,
  PipelineRequestSchema,
  PipelineResponseSchema,
  SetRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { operationKinds } from "../../src/service/pipeline-operations.js";
import { type EncodedOperation, readOperations } from "../../src/service/pipeline-request.js";
import {
  PipelineResults,
  RESULT_OVERHEAD_BYTES_MAX,
  SET_RESULT_BYTES_MAX,
} from "../../src/service/pipeline-results.js";
import { quickKey, quickSet } from "../../src/service/quick-requests.js";

const bytes = fc.uint8Array({ maxLength: 200 });
const operation = fc.oneof(
  fc.record({ case: fc.constant("get" as const), value: fc.record({ key: bytes }) }),
  fc.record({
    case: fc.constant("set" as const),
    value: fc.record({ key: bytes, value: bytes, returnPrevious: fc.boolean() }),
  }),
  fc.constant({ case: undefined }),
);
const operations = fc.array(
  fc.record({ id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), operation }),
);

/** The fields of a request that handlers read; of one that is decoded by hand there are no more. */
function plain(request: object | undefined): object | undefined {
  if (request === undefined) return undefined;
  const fields = request as Record<string, unknown>;
  return ["key", "value", "expiry", "precondition", "returnPrevious", "durability"].map((name) => [
    name,
    fields[name],
  ]);
}

const COUNT_MAX = 10_000;

/** The operations of a message, if it is one. */
function operationsOf(message: Uint8Array): EncodedOperation[] | undefined {
  const read = readOperations(message, COUNT_MAX);
  assert.ok(read !== "too many");
  return read && Array.from({ length: read.count }, (_, index) => read.at(index));
}

/** What the reader makes of a message, put back into the generated types. */
function reread(message: Uint8Array): object[] | undefined {
  return operationsOf(message)?.map(({ idStart, idEnd, field, source, start, end }) => {
    const id = message.subarray(idStart, idEnd);
    const idField = id.length === 0 ? [] : [8, ...id];
    const { id: number } = fromBinary(PipelineOperationSchema, Uint8Array.from(idField));
    const kind = operationKinds.get(field);
    return { id: number, case: kind?.name, value: plain(kind?.decode(source, start, end)) };
  });
}

test("a message is taken apart as the generated code reads it", () => {
  fc.assert(
    fc.property(operations, (made) => {
      // A wider type than that of one message in particular.
      const init = { operations: made } as MessageInitShape<typeof PipelineRequestSchema>;
      const request = create(PipelineRequestSchema, init);
      const expected = request.operations.map(({ id, operation: { case: name, value } }) => ({
        id,
        case: name,
        value: plain(value),
      }));
      assert.deepEqual(reread(toBinary(PipelineRequestSchema, request)), expected);
    }),
  );
});

test("fields out of order, unknown ones and parts of a request are read as protobuf says", () => {
  const framed = (...parts: readonly number[]) => [0x0a, parts.length, ...parts];
  const key = (letter: number) => [0x1a, 3, 0x0a, 1, letter];
  const message = Buffer.from([
    ...[0x78, 0x80, 0x01],
    ...framed(...key(0x61), 0x08, 5, 0x15, 1, 2, 3, 4, ...key(0x62), 0x08, 0x86, 0x01),
    ...framed(...key(0x61), 0x2a, 5, 0x12, 3, 0x76, 0x76, 0x76),
  ]);
  const { operations: read } = fromBinary(PipelineRequestSchema, message);
  assert.deepEqual(
    reread(message),
    read.map(({ id, operation: { case: name, value } }) => ({
      id,
      case: name,
      value: plain(value),
    })),
  );
  assert.equal(read.length, 2);
});

test("a request in very many parts takes no longer to read than one in few (V11)", () => {
  const parts = 500_000;
  // Another request in between makes what came before void.
  const operation = Buffer.concat([
    Buffer.from([0x1a, 1, 7, 0x1a, 1, 8, 0x22, 0]),
    Buffer.alloc(3 * parts, Buffer.from([0x1a, 1, 9])),
  ]);
  const length = Buffer.from([
    (operation.length & 0x7f) | 0x80,
    ((operation.length >> 7) & 0x7f) | 0x80,
    ((operation.length >> 14) & 0x7f) | 0x80,
    operation.length >> 21,
  ]);
  const began = performance.now();
  const [read] = operationsOf(Buffer.concat([Buffer.from([0x0a]), length, operation])) ?? [];
  const tookMs = performance.now() - began;
  assert.ok(read);
  const request = Buffer.from(read.source.subarray(read.start, read.end));
  assert.ok(request.equals(Buffer.alloc(parts, 9)));
  // With a copy for each part it is many seconds.
  assert.ok(tookMs < 2000, `${tookMs} ms`);
});

test("any bytes are read, or called no message, and nothing is read that is not there", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (garbage) => {
      const read = operationsOf(garbage) ?? [];
      const requestBytes = read.reduce(
        (sum, { idStart, idEnd, start, end }) => sum + idEnd - idStart + end - start,
        0,
      );
      assert.ok(requestBytes <= garbage.length);
      let decoded: ReturnType<typeof create<typeof PipelineRequestSchema>>;
      try {
        decoded = fromBinary(PipelineRequestSchema, garbage);
      } catch {
        return;
      }
      // The generated code takes fields of a wrong wire type for what they are not; what it
      // writes of them is a message again.
      const again = toBinary(PipelineRequestSchema, decoded, { writeUnknownFields: false });
      assert.equal(operationsOf(again)?.length, decoded.operations.length);
    }),
    { numRuns: 5000 },
  );
});

test("what is decoded by hand is what the generated code decodes, and what it is not made for is left to that", () => {
  const request = fc.record({
    key: bytes,
    value: fc.oneof(bytes, fc.uint8Array({ minLength: 130, maxLength: 300 })),
    returnPrevious: fc.boolean(),
    durability: fc.integer({ min: 0, max: 3 }),
    keepTtl: fc.boolean(),
  });
  let quick = 0;
  fc.assert(
    fc.property(request, ({ keepTtl, ...fields }) => {
      const expiry = keepTtl ? ({ case: "keepTtl", value: true } as const) : { case: undefined };
      const made = toBinary(SetRequestSchema, create(SetRequestSchema, { ...fields, expiry }));
      const { $typeName: _, ...expected } = fromBinary(SetRequestSchema, made);
      const decoded = quickSet(made);
      if (decoded === undefined) {
        assert.ok(keepTtl || fields.key.length === 0);
        return;
      }
      quick += 1;
      assert.deepEqual(
        { ...decoded, value: Buffer.from(decoded.value) },
        {
          precondition: undefined,
          ...expected,
          value: Buffer.from(expected.value),
        },
      );
      const keyOnly = toBinary(GetRequestSchema, create(GetRequestSchema, { key: fields.key }));
      assert.deepEqual(quickKey(keyOnly)?.key, fields.key);
    }),
  );
  assert.ok(quick > 10);
});

test("garbage is decoded by hand to what the generated code makes of it, or left to that", () => {
  const near = fc.array(fc.constantFrom(0x0a, 0x12, 0x38, 0x40, 0, 1, 2, 3, 0x80), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(near, (garbage) => {
      const made = Uint8Array.from(garbage);
      // What lies around it is that of others, and could be taken for fields of it.
      const around = Uint8Array.of(0x0a, 0x38, 0x40, ...garbage, 0x38, 1, 0x40, 1);
      const set = quickSet(around, 3, 3 + made.length);
      assert.deepEqual(set, quickSet(made));
      assert.deepEqual(quickKey(around, 3, 3 + made.length), quickKey(made));
      if (set !== undefined) {
        const { key, value, returnPrevious, durability } = fromBinary(SetRequestSchema, made);
        assert.deepEqual(
          [set.key, set.value, set.returnPrevious, set.durability],
          [key, value, returnPrevious, durability],
        );
      }
      const get = quickKey(made);
      if (get !== undefined) assert.deepEqual(get.key, fromBinary(GetRequestSchema, made).key);
    }),
    { numRuns: 20_000 },
  );
});

test("a plain set that was applied is answered with what the generated code writes", () => {
  const versions = fc.integer({ min: 1, max: 2 ** 48 - 1 });
  const ids = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(fc.array(fc.tuple(ids, versions, versions)), (sets) => {
      const results = new PipelineResults();
      let bytesSum = 0;
      for (const [id, version, storeVersion] of sets) {
        const tagged = toBinary(PipelineOperationSchema, create(PipelineOperationSchema, { id }));
        const added = results.addSet(
          tagged,
          Math.min(1, tagged.length),
          tagged.length,
          version,
          storeVersion,
        );
        assert.ok(added <= SET_RESULT_BYTES_MAX);
        bytesSum += added;
      }
      assert.equal(results.bytes, bytesSum);
      const expected = create(PipelineResponseSchema, {
        results: sets.map(([id, version, storeVersion]) => {
          const value = {
            applied: true,
            version: BigInt(version),
            storeVersion: BigInt(storeVersion),
          };
          return { id, result: { case: "set" as const, value } };
        }),
      });
      const encoded = toBinary(PipelineResponseSchema, expected);
      assert.deepEqual(Buffer.from(results.take()), Buffer.from(encoded));
    }),
  );
});

test("results are spliced into the message that the generated code writes", () => {
  const results = new PipelineResults();
  // Its message has other bytes in front of the id, and behind it.
  const add = (id: Uint8Array, field: number, answer: Uint8Array): number => {
    const source = Uint8Array.of(0xff, 0xff, ...id, 0xff);
    return results.add(source, 2, 2 + id.length, field, answer);
  };
  const answer = toBinary(GetResponseSchema, create(GetResponseSchema, { storeVersion: 9n }));
  const long = Buffer.alloc(70_000, 1);
  let bytesSum = 0;
  bytesSum += add(new Uint8Array(0), 3, answer);
  bytesSum += add(Uint8Array.of(0x96, 0x01), 2, new Uint8Array(0));
  const record = toBinary(
    GetResponseSchema,
    create(GetResponseSchema, { record: { value: long } }),
  );
  const longBytes = add(new Uint8Array(10).fill(0xff).with(9, 0x01), 3, record);
  assert.ok(longBytes - record.length <= RESULT_OVERHEAD_BYTES_MAX);
  assert.equal(results.bytes, bytesSum + longBytes);
  const message = results.take();
  const expected = create(PipelineResponseSchema, {
    results: [
      { id: 0n, result: { case: "get", value: { storeVersion: 9n } } },
      { id: 150n, result: { case: "error", value: {} } },
      { id: 2n ** 64n - 1n, result: { case: "get", value: { record: { value: long } } } },
    ],
  });
  assert.deepEqual(Buffer.from(message), Buffer.from(toBinary(PipelineResponseSchema, expected)));
  assert.ok(results.isEmpty);
});
