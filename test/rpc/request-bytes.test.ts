/** Requests whose bytes would make far more objects than a request may have. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { create, ScalarType, toBinary } from "@bufbuild/protobuf";
import {
  AdminService,
  BatchGetRequestSchema,
  CommitRequestSchema,
  KvService,
  SetRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { BATCH_KEYS_MAX } from "../../src/base/limits.js";
import { serviceDefinition } from "../../src/rpc/definition.js";
import { operationKinds } from "../../src/service/pipeline-operations.js";

const kv = serviceDefinition(KvService);

/** So many times these two bytes. */
function repeated(tag: number, value: number, times: number): Buffer {
  return Buffer.alloc(2 * times, Buffer.of(tag, value));
}

function decoded(method: string, bytes: Uint8Array): Record<string, unknown> {
  return kv[method]?.requestDeserialize(Buffer.from(bytes)) as Record<string, unknown>;
}

test("V11: fields that nobody knows leave nothing in a request", () => {
  const known = toBinary(SetRequestSchema, create(SetRequestSchema, { key: Buffer.of(1) }));
  const unknown = repeated(0x78, 1, 1000);
  const request = decoded("set", Buffer.concat([unknown, known, unknown]));
  assert.deepEqual([...(request["key"] as Uint8Array)], [1]);
  assert.equal(request["$unknown"], undefined);
});

test("V11: of a list that is too long no more is decoded than shows that it is", () => {
  const { length } = decoded("batchGet", repeated(0x0a, 0, 100_000))["keys"] as [];
  assert.equal(length, BATCH_KEYS_MAX + 1);
  const commit = decoded(
    "commit",
    Buffer.concat([repeated(0x0a, 0, 9_000), repeated(0x12, 0, 70_000)]),
  );
  assert.equal((commit["conditions"] as []).length, 9_000);
  assert.equal((commit["mutations"] as []).length, BATCH_KEYS_MAX + 1);
  const inPipeline = operationKinds.get(9)?.decode(repeated(0x12, 0, 70_000), 0, 140_000);
  assert.equal((inPipeline as { mutations: [] }).mutations.length, BATCH_KEYS_MAX + 1);
});

test("a list of as many as there may be is decoded whole, and so is what stands behind it", () => {
  const keys = Array.from({ length: BATCH_KEYS_MAX }, (_, at) => Buffer.from(`key ${at}`));
  const request = create(BatchGetRequestSchema, { keys, keysOnly: true });
  const back = decoded("batchGet", toBinary(BatchGetRequestSchema, request));
  assert.deepEqual(
    (back["keys"] as Uint8Array[]).map((key) => [...key].join()),
    keys.map((key) => [...key].join()),
  );
  assert.equal(back["keysOnly"], true);
  const commit = create(CommitRequestSchema, { requestId: Buffer.alloc(16, 7) });
  const { requestId } = decoded("commit", toBinary(CommitRequestSchema, commit));
  assert.deepEqual([...(requestId as Uint8Array)], Array(16).fill(7));
});

test("no request has a list that one element of the wire may fill with many", () => {
  const lists: DescField[] = [];
  const visit = (message: DescMessage, seen: Set<DescMessage>): void => {
    if (seen.has(message)) return;
    seen.add(message);
    for (const field of message.fields) {
      if (field.fieldKind === "list") lists.push(field);
      if (field.message !== undefined) visit(field.message, seen);
    }
  };
  for (const { input } of [...KvService.methods, ...AdminService.methods]) visit(input, new Set());
  assert.ok(lists.length >= 3);
  for (const field of lists) {
    const isPacked = field.scalar !== undefined && field.scalar !== ScalarType.BYTES;
    assert.ok(!isPacked && field.fieldKind === "list", field.name);
  }
});
