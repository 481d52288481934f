/** Reflection, both versions, over the wire. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  create,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Client, credentials } from "@grpc/grpc-js";
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  type ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { methodDefinition } from "../../src/rpc/definition.js";
import { DescriptorSet } from "../../src/service/descriptor-set.js";
import { reflectionHandlers } from "../../src/service/reflection.js";
import { type MemoryServerOptions, startMemoryServer } from "./memory-server.js";

type Question = NonNullable<
  MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]
>;
type Reply = MessageShape<typeof ServerReflectionResponseSchema>;

const versions = [ServerReflection, ServerReflectionAlpha] as const;

/** Asks on one stream, one question after the answer to the one before. */
async function ask(
  t: TestContext,
  version: (typeof versions)[number],
  questions: readonly Question[],
  options: MemoryServerOptions = {},
) {
  const { address } = await startMemoryServer(t, options);
  const client = new Client(address, credentials.createInsecure());
  t.after(() => client.close());
  const codec = ServerReflection.method.serverReflectionInfo;
  const { path, requestSerialize, responseDeserialize } = methodDefinition(
    version.method.serverReflectionInfo,
    codec,
  );
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const replies: Reply[] = [];
  for (const messageRequest of questions) {
    const next = new Promise<Reply>((resolve, reject) => {
      call.once("data", resolve);
      call.once("error", reject);
    });
    call.write(create(ServerReflectionRequestSchema, { host: "h", messageRequest }));
    replies.push(await next);
  }
  const ended = new Promise((resolve) => call.once("end", resolve));
  call.end();
  await ended;
  return replies;
}

function fileNames(reply: Reply | undefined): string[] {
  assert.equal(reply?.messageResponse.case, "fileDescriptorResponse");
  const files = reply.messageResponse.value as { fileDescriptorProto: Uint8Array[] };
  return files.fileDescriptorProto.map((file) => fromBinary(FileDescriptorProtoSchema, file).name);
}

function errorCode(reply: Reply | undefined): number {
  assert.equal(reply?.messageResponse.case, "errorResponse");
  return (reply.messageResponse.value as { errorCode: number }).errorCode;
}

for (const version of versions) {
  test(`${version.typeName} lists what is served, itself included`, async (t) => {
    const [reply] = await ask(t, version, [{ case: "listServices", value: "" }]);
    assert.equal(reply?.validHost, "h");
    assert.equal(reply.originalRequest?.messageRequest.case, "listServices");
    assert.equal(reply.messageResponse.case, "listServicesResponse");
    const { service } = reply.messageResponse.value as { service: { name: string }[] };
    assert.deepEqual(service.map(({ name }) => name).sort(), [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "kvix.v1.AdminService",
      "kvix.v1.KvService",
      "kvix.v1.KvTextService",
    ]);
  });

  test(`${version.typeName} finds files by name and by every kind of symbol`, async (t) => {
    const symbols = [
      "kvix.v1.KvService",
      "kvix.v1.KvService.Get",
      "kvix.v1.Record",
      ".kvix.v1.Record",
      "kvix.v1.Record.key",
      "kvix.v1.SetRequest.expiry",
      "kvix.v1.Durability",
      "kvix.v1.DURABILITY_SYNC",
    ];
    const replies = await ask(t, version, [
      { case: "fileByFilename", value: "google/rpc/error_details.proto" },
      ...symbols.map((value) => ({ case: "fileContainingSymbol" as const, value })),
    ]);
    assert.deepEqual(fileNames(replies[0]), [
      "google/rpc/error_details.proto",
      "google/protobuf/duration.proto",
    ]);
    for (const reply of replies.slice(1)) assert.equal(fileNames(reply)[0], "kvix/v1/kvix.proto");
    assert.equal(replies.length, symbols.length + 1);
  });

  test(`${version.typeName} answers what it does not know in the stream, and goes on`, async (t) => {
    const replies = await ask(t, version, [
      { case: "fileByFilename", value: "nowhere.proto" },
      { case: "fileContainingSymbol", value: "kvix.v1.Nothing" },
      { case: "fileContainingSymbol", value: "" },
      {
        case: "fileContainingExtension",
        value: { containingType: "kvix.v1.Record", extensionNumber: 9 },
      },
      { case: "allExtensionNumbersOfType", value: "kvix.v1.Nothing" },
      { case: undefined },
      { case: "allExtensionNumbersOfType", value: "kvix.v1.Record" },
    ]);
    assert.deepEqual(replies.slice(0, 6).map(errorCode), [5, 5, 5, 5, 5, 3]);
    const last = replies[6]?.messageResponse;
    assert.equal(last?.case, "allExtensionNumbersResponse");
  });
}

test("a file comes with its imports once in a stream, and again when it is asked for", async (t) => {
  const replies = await ask(t, ServerReflection, [
    { case: "fileContainingSymbol", value: "kvix.v1.KvService" },
    { case: "fileContainingSymbol", value: "kvix.v1.KvService" },
    { case: "fileByFilename", value: "google/protobuf/timestamp.proto" },
  ]);
  assert.deepEqual(fileNames(replies[0]).sort(), [
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/timestamp.proto",
    "google/rpc/status.proto",
    "kvix/v1/kvix.proto",
  ]);
  assert.deepEqual(fileNames(replies[1]), ["kvix/v1/kvix.proto"]);
  assert.deepEqual(fileNames(replies[2]), ["google/protobuf/timestamp.proto"]);
});

test("the descriptors carry the comments of the proto", async (t) => {
  const [reply] = await ask(t, ServerReflection, [
    { case: "fileContainingSymbol", value: "kvix.v1.Record" },
  ]);
  const files = reply?.messageResponse.value as { fileDescriptorProto: Uint8Array[] };
  const file = fromBinary(FileDescriptorProtoSchema, files.fileDescriptorProto[0]!);
  const comments = file.sourceCodeInfo?.location.map((each) => each.leadingComments).join("");
  assert.match(comments ?? "", /Get copies them into its response without decoding them/);
});

test("every service that is served can be described, with a comment on it and on each rpc", async (t) => {
  const options = { options: { channelz: true } };
  const [listed] = await ask(t, ServerReflection, [{ case: "listServices", value: "" }], options);
  assert.ok(listed);
  const { service } = listed.messageResponse.value as { service: { name: string }[] };
  assert.equal(service.length, 7);
  const questions = service.map(
    ({ name }) => ({ case: "fileContainingSymbol", value: name }) as const,
  );
  for (const question of questions) {
    const [reply] = await ask(t, ServerReflection, [question], options);
    assert.ok(reply);
    const [bytes] = (reply.messageResponse.value as { fileDescriptorProto: Uint8Array[] })
      .fileDescriptorProto;
    const file = fromBinary(FileDescriptorProtoSchema, bytes ?? new Uint8Array());
    const at = file.service.findIndex(({ name }) => question.value === `${file.package}.${name}`);
    const methods = file.service[at]?.method ?? [];
    assert.ok(methods.length > 0, question.value);
    const commented = new Set(
      file.sourceCodeInfo?.location
        .filter(({ leadingComments }) => leadingComments !== "")
        .map(({ path }) => path.join(".")),
    );
    // 6: the services of a file; 2: the rpcs of a service. Others' protos comment not all of theirs.
    if (!file.package.startsWith("kvix")) continue;
    assert.ok(commented.has(`6.${at}`), question.value);
    methods.forEach(({ name }, index) => {
      assert.ok(commented.has(`6.${at}.2.${index}`), `${question.value}.${name}`);
    });
  }
});

test("extensions are found by type and number, with the file that declares them", () => {
  const set = create(FileDescriptorSetSchema, {
    file: [
      { name: "base.proto", package: "p", messageType: [{ name: "Base" }] },
      {
        name: "more.proto",
        package: "p",
        dependency: ["base.proto"],
        extension: [
          {
            name: "extra",
            number: 100,
            extendee: ".p.Base",
            type: FieldDescriptorProto_Type.STRING,
          },
        ],
      },
    ],
  });
  const descriptors = new DescriptorSet(toBinary(FileDescriptorSetSchema, set));
  const handlers = reflectionHandlers(descriptors, []);
  // A handler gives a message here, never bytes.
  const answer = (messageRequest: Question) =>
    handlers.serverReflectionInfo()(
      create(ServerReflectionRequestSchema, { messageRequest }),
    ) as Reply;
  const containing = (extensionNumber: number) =>
    answer({
      case: "fileContainingExtension",
      value: { containingType: "p.Base", extensionNumber },
    });
  assert.deepEqual(fileNames(containing(100)), ["more.proto", "base.proto"]);
  assert.equal(errorCode(containing(101)), 5);
  const numbers = answer({ case: "allExtensionNumbersOfType", value: "p.Base" }).messageResponse;
  assert.equal(numbers.case, "allExtensionNumbersResponse");
  assert.deepEqual((numbers.value as { extensionNumber: number[] }).extensionNumber, [100]);
});
