/** The service config of the package in a stock gRPC client. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { GetResponseSchema, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/client/connect.js";
import { RpcClient } from "../../src/rpc/client.js";
import { refusal } from "../conformance/suite.js";
import { repositoryRoot } from "../support/paths.js";
import { startFakeKv } from "./fake-kv.js";

test("with the service config of the package a stock client repeats reads of an unavailable server, and no write (G-CLIENT-12)", {
  timeout: 60_000,
}, async (t) => {
  const calls = { get: 0, set: 0 };
  const { address } = await startFakeKv(t, {
    get: async () => {
      calls.get += 1;
      if (calls.get < 3) throw new KvixError("STORE_STARTING");
      return create(GetResponseSchema, { storeVersion: 5n });
    },
    set: async () => {
      calls.set += 1;
      throw new KvixError("STORE_STARTING");
    },
  });
  const path = join(repositoryRoot, "proto", "kvix", "v1", "service-config.json");
  const client = new RpcClient(address, { "grpc.service_config": readFileSync(path, "utf8") });
  t.after(() => client.close());
  const { get, set } = KvService.method;
  const answer = await client.call(get, { key: Buffer.from("k") });
  assert.deepEqual([answer.storeVersion, calls.get], [5n, 3]);
  await refusal(client.call(set, { key: Buffer.from("k") }), "STORE_STARTING");
  assert.equal(calls.set, 1);
});
