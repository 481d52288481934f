/** The table of request fields in docs/api.md, held against the proto and against what a server says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  DescMessage,
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
} from "@bufbuild/protobuf";
import { AdminService, KvService, UploadHeaderSchema } from "../../gen/kvix/v1/kvix_pb.js";
import type { RpcClient } from "../../src/rpc/client.js";
import { MESSAGE_BYTES_MAX } from "../../src/service/server-options.js";
import { fieldsOfServices, requestFields } from "../support/request-fields.js";
import { type Part, UploadCall, uploadClient } from "../support/upload-call.js";
import { startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";

const services: Readonly<Record<string, DescService>> = { KvService, AdminService };
const sound = {
  key: Uint8Array.of(1),
  expiry: { case: "ttl", value: { seconds: 1n } },
  mutations: [{ mutation: { case: "delete", value: { key: Uint8Array.of(1) } } }],
};

/** What is sound for this message, with something wrong in it. */
function requestOf(input: DescMessage, wrong: object): Record<string, unknown> {
  const names = new Set(input.members.map((member) => member.localName));
  return Object.fromEntries(
    Object.entries({ ...sound, ...wrong }).filter(([name]) => names.has(name)),
  );
}

/** Calls a method with something wrong in its request, or in a part of it; of a stream, its first answer. */
async function callWith(
  { client, address }: { client: RpcClient; address: string },
  method: DescMethod,
  wrong: { readonly part?: Part },
): Promise<unknown> {
  const { methodKind } = method;
  if (methodKind === "server_streaming") {
    const streaming = method as DescMethodServerStreaming;
    return await client.stream(streaming, requestOf(method.input, wrong)).next();
  }
  if (methodKind !== "client_streaming") {
    const unary = method as DescMethodUnary;
    return await client.call(unary, requestOf(unary.input, wrong));
  }
  const uploads = uploadClient(address);
  try {
    const call = new UploadCall(uploads);
    void call.header(requestOf(UploadHeaderSchema, wrong));
    if (wrong.part !== undefined) void call.part(wrong.part);
    call.close();
    return await call.answer;
  } finally {
    uploads.close();
  }
}

test("the table has every field of every request, and no other", () => {
  const rows = requestFields.flatMap(({ field, rpcs }) => rpcs.map((rpc) => `${field} ${rpc}`));
  assert.deepEqual(rows.toSorted(), fieldsOfServices().toSorted());
});

for (const { field, rpcs, range, wrong, saidAs = field } of requestFields) {
  if (wrong === undefined) continue;
  test(`${field} that is wrong is refused by name, and must be what the table says`, async (t) => {
    const server = await startMemoryServer(t, {
      messageBytesMax: MESSAGE_BYTES_MAX,
      channel: { "grpc.max_send_message_length": -1 },
    });
    for (const rpc of rpcs) {
      const [service = "", name = ""] = rpc.split(".");
      const method = services[service]?.methods.find((each) => each.name === name);
      assert.ok(method);
      const error = await refusal(callWith(server, method, wrong), undefined, saidAs);
      assert.equal(error.row.status, "INVALID_ARGUMENT", rpc);
      assert.equal(error.metadata["range"], range, rpc);
    }
    assert.equal(server.store.version, 0);
  });
}

test("what the table says cannot be wrong is taken as it comes", async (t) => {
  const { client } = await startMemoryServer(t);
  const free = requestFields.filter(({ wrong }) => wrong === undefined);
  const isFree = ({ field, range }: (typeof free)[number]): boolean =>
    field === "limit" ? range === "0 or more" : range === "";
  assert.ok(free.every(isFree));
  await client.call(KvService.method.set, { ...sound, returnPrevious: true } as object);
  await client.call(KvService.method.delete, { key: sound.key, returnPrevious: true });
  await client.call(KvService.method.increment, {
    key: sound.key,
    delta: -(2n ** 63n),
    initial: 1n,
  });
  await client.call(KvService.method.list, { reverse: true, keysOnly: true });
  await client.call(KvService.method.batchGet, { keys: [sound.key], keysOnly: true });
  await client.call(KvService.method.deleteRange, { all: true, dryRun: true });
  for (const limit of [0n, 1n, 2n ** 53n, 2n ** 64n - 1n]) {
    const request = { reverse: true, keysOnly: true, limit };
    for await (const _ of client.stream(KvService.method.scan, request));
  }
});
