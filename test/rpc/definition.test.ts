/** gRPC definitions from descriptors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import {
  GetRequestSchema,
  GetResponseSchema,
  KvService,
  KvTextService,
} from "../../gen/kvix/v1/kvix_pb.js";
import { Malformed, serviceDefinition } from "../../src/rpc/definition.js";

/** Records, which a text message has under another name. */
const WITH_TEXT_TWIN = /^(Listed)?(Text)?Record$/;
/** What is no text has a field beside the one that it leaves empty. */
const ONLY_IN_TEXT = ["raw_key", "raw_value"];

test("every method of a service has its path and its stream kinds", () => {
  const kv = serviceDefinition(KvService);
  assert.deepEqual(
    Object.entries(kv).map(([name, { path }]) => [name, path]),
    KvService.methods.map(({ localName, name }) => [localName, `/kvix.v1.KvService/${name}`]),
  );
  assert.equal(kv["get"]?.path, "/kvix.v1.KvService/Get");
  assert.equal(kv["get"]?.requestStream, false);
  assert.equal(kv["get"]?.responseStream, false);
  const reflection = serviceDefinition(ServerReflection)["serverReflectionInfo"];
  assert.deepEqual([kv["scan"]?.requestStream, kv["scan"]?.responseStream], [false, true]);
  assert.deepEqual([kv["upload"]?.requestStream, kv["upload"]?.responseStream], [true, false]);
  assert.equal(reflection?.requestStream, true);
  assert.equal(reflection?.responseStream, true);
});

test("an answer that is encoded already passes without a copy", () => {
  const whole = new Uint8Array([1, 2, 3, 4, 5]);
  const answer = whole.subarray(1, 4);
  const bytes = serviceDefinition(KvService)["get"]?.responseSerialize(answer);
  assert.deepEqual([...(bytes ?? [])], [2, 3, 4]);
  assert.equal(bytes?.buffer, whole.buffer);
});

test("an answer that is a message is encoded, and decodes at the other end", () => {
  const get = serviceDefinition(KvService)["get"];
  const bytes = get?.responseSerialize(create(GetResponseSchema, { storeVersion: 7n }));
  assert.equal(get?.responseDeserialize(bytes ?? Buffer.alloc(0)).storeVersion, 7n);
});

test("a request that is no protobuf is Malformed, not a throw", () => {
  const get = serviceDefinition(KvService)["get"];
  assert.ok(get?.requestDeserialize(Buffer.from([0xff])) instanceof Malformed);
  const bytes = toBinary(GetRequestSchema, create(GetRequestSchema, { key: Buffer.from("k") }));
  assert.deepEqual([...(get?.requestDeserialize(Buffer.from(bytes)).key ?? [])], [0x6b]);
});

test("with a codec the path is the service's and the messages are the codec's", () => {
  const get = serviceDefinition(KvTextService, KvService)["get"];
  assert.equal(get?.path, "/kvix.v1.KvTextService/Get");
  // 0xff is no UTF-8, so the text message would refuse it; the bytes message takes it.
  const request = get?.requestDeserialize(Buffer.from([0x0a, 0x01, 0xff]));
  assert.deepEqual([...request.key], [0xff]);
});

test("each message of KvTextService is its twin in KvService but for string instead of bytes", () => {
  const pairs = Object.entries(KvTextService.method).flatMap(([name, text]) => {
    const bytes = KvService.method[name as keyof typeof KvService.method];
    return [
      [text.input, bytes.input],
      [text.output, bytes.output],
    ] as const;
  });
  assert.equal(pairs.length, 12, "what a person types: six methods");
  const shape = (desc: DescMessage): unknown =>
    desc.fields
      .filter((field) => !ONLY_IN_TEXT.includes(field.name))
      .map((field) => [
        field.number,
        field.name,
        field.oneof?.name,
        field.proto.type === 9 ? 12 : field.proto.type,
        WITH_TEXT_TWIN.test(field.message?.name ?? "")
          ? shape(field.message as DescMessage)
          : field.message?.typeName,
      ]);
  for (const [text, bytes] of pairs) assert.deepEqual(shape(text), shape(bytes));
});
