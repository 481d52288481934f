/** A stream in both directions whose client sends and does not read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { ServerReflectionRequestSchema } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { MIB } from "../abuse/scene.js";
import { framed, rawCall, rawConnection } from "../support/raw-grpc.js";
import { startMemoryServer } from "./memory-server.js";

const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

test("a conversation whose answers nobody reads is read no further (V11)", {
  timeout: 60_000,
}, async (t) => {
  const { address, client } = await startMemoryServer(t);
  // Its answer bears the request, and the client's window of 64 KiB does not hold it.
  const request = create(ServerReflectionRequestSchema, {
    host: "h".repeat(MIB / 2),
    messageRequest: { case: "listServices", value: "" },
  });
  const message = framed(toBinary(ServerReflectionRequestSchema, request));
  const stream = rawCall(rawConnection(t, address), path);
  let taken = 0;
  const push = (): void => {
    stream.write(message, () => {
      taken += 1;
      if (taken < 64) push();
    });
  };
  push();
  for (let turn = 0; turn < 200; turn += 1) {
    await client.call(KvService.method.get, { key: Buffer.from("k") });
  }
  // One is being answered, one waits in grpc-js and one before it; the window holds 2.5 MiB.
  assert.ok(taken >= 1 && taken <= 9, `${taken} requests of half a MiB were taken`);
  assert.equal(stream.rstCode, 0);
});
