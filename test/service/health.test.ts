/** What an orchestrator is told: the table of src/service/health.ts and docs/api.md, over the wire. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import {
  Health,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import type { Store } from "../../src/engine/store.js";
import type { StoreCondition } from "../../src/engine/store-stats.js";
import { methodDefinition } from "../../src/rpc/definition.js";
import { fromCallStatus } from "../../src/rpc/status.js";
import type { ServerState } from "../../src/service/server-life.js";
import { startMemoryServer } from "./memory-server.js";

const { check, list, watch } = Health.method;
const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = ServingStatus;
const names = [
  "",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "kvix.v1.AdminService",
  "kvix.v1.KvService",
  "kvix.v1.KvTextService",
  "kvix.write",
];

/** A store whose condition the test sets. */
function conditioned() {
  const condition = { degraded: false, latched: false, full: false };
  const wrap = (store: Store): Store =>
    new Proxy(store, {
      get: (target, name) => {
        if (name !== "stats") {
          const member = Reflect.get(target, name, target) as unknown;
          return typeof member === "function" ? member.bind(target) : member;
        }
        const entries = Object.entries(condition).filter(([, holds]) => holds);
        const reasons = entries.map(([state]) => `${state} for a test`);
        const now: StoreCondition = { ...condition, reasons };
        return () => ({ ...target.stats(), condition: now });
      },
    });
  return { condition, wrap };
}

/** A watch, and what it has told so far. */
function openWatch(t: TestContext, address: string, service: string) {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(watch, watch);
  const client = new Client(address, credentials.createInsecure());
  t.after(() => client.close());
  const request = { $typeName: "grpc.health.v1.HealthCheckRequest", service } as const;
  const call = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request as never,
  );
  const told: ServingStatus[] = [];
  const waiting: (() => void)[] = [];
  call.on("data", (answer: HealthCheckResponse) => {
    told.push(answer.status);
    for (const wake of waiting.splice(0)) wake();
  });
  const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
  const until = async (count: number): Promise<ServingStatus[]> => {
    while (told.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
    return told;
  };
  return { until, ended, cancel: () => call.cancel() };
}

for (const [state, whole, write] of [
  ["serving", SERVING, SERVING],
  ["degraded", SERVING, SERVING],
  ["full", SERVING, NOT_SERVING],
  ["latched", SERVING, NOT_SERVING],
] as const satisfies readonly [ServerState, ServingStatus, ServingStatus][]) {
  test(`${state}: Check and List say ${ServingStatus[whole]}, and ${ServingStatus[write]} for writes`, async (t) => {
    const { condition, wrap } = conditioned();
    const { client, server } = await startMemoryServer(t, { wrap });
    if (state !== "serving") condition[state] = true;
    assert.equal(server.status.state, state);
    const { statuses } = await client.call(list, {});
    assert.deepEqual(Object.keys(statuses).sort(), names);
    for (const name of names) {
      const expected = name === "kvix.write" ? write : whole;
      assert.equal(statuses[name]?.status, expected, name);
      assert.equal((await client.call(check, { service: name })).status, expected, name);
    }
  });
}

test("of several conditions the one that limits most is the state, and each has its reason", async (t) => {
  const { condition, wrap } = conditioned();
  const { server } = await startMemoryServer(t, { wrap });
  Object.assign(condition, { degraded: true, latched: true, full: true });
  assert.deepEqual(server.status, {
    state: "latched",
    reasons: [
      { state: "degraded", message: "degraded for a test" },
      { state: "latched", message: "latched for a test" },
      { state: "full", message: "full for a test" },
    ],
  });
});

test("while the store opens, calls are STORE_STARTING and nothing is serving; then all is", async (t) => {
  const { client, server, store } = await startMemoryServer(t, { isStarting: true });
  assert.equal(server.status.state, "starting");
  for (const service of names) {
    assert.equal((await client.call(check, { service })).status, NOT_SERVING, service);
  }
  const error = await client.call(KvService.method.get, { key: Buffer.from("k") }).catch((e) => e);
  assert.ok(error instanceof KvixError);
  assert.deepEqual([error.reason, error.row.status], ["STORE_STARTING", "UNAVAILABLE"]);
  server.serve(store);
  await client.call(KvService.method.get, { key: Buffer.from("k") });
  assert.equal((await client.call(check, { service: "kvix.write" })).status, SERVING);
});

test("a service that is not there is NOT_FOUND to Check and SERVICE_UNKNOWN to Watch", async (t) => {
  const { client, address } = await startMemoryServer(t);
  const error = await client.call(check, { service: "kvix.v1.Nothing" }).catch((e) => e);
  assert.equal(error.code, status.NOT_FOUND);
  const watcher = openWatch(t, address, "kvix.v1.Nothing");
  assert.deepEqual(await watcher.until(1), [SERVICE_UNKNOWN]);
});

test("Watch tells the state at once, every change of it once, and the end of the server", {
  timeout: 30_000,
}, async (t) => {
  const { condition, wrap } = conditioned();
  const { server, store, address, logLines } = await startMemoryServer(t, {
    wrap,
    isStarting: true,
  });
  const whole = openWatch(t, address, "");
  const write = openWatch(t, address, "kvix.write");
  assert.deepEqual(await whole.until(1), [NOT_SERVING]);
  assert.deepEqual(await write.until(1), [NOT_SERVING]);
  server.serve(store);
  assert.deepEqual(await whole.until(2), [NOT_SERVING, SERVING]);
  await write.until(2);
  condition.full = true;
  await write.until(3);
  condition.full = false;
  assert.deepEqual(await write.until(4), [NOT_SERVING, SERVING, NOT_SERVING, SERVING]);
  assert.equal(await server.stop(10_000), true);
  assert.deepEqual(await whole.until(3), [NOT_SERVING, SERVING, NOT_SERVING]);
  const error = await whole.ended;
  assert.equal(error.code, status.UNAVAILABLE);
  assert.equal(fromCallStatus(error)?.reason, "STORE_CLOSING");
  const changes = logLines.filter((line) => line.includes("state of the server"));
  assert.equal(changes.length, 2, "one line when it became full and one when it no longer was");
});

test("a watcher that goes is forgotten", { timeout: 20_000 }, async (t) => {
  const { server, address } = await startMemoryServer(t);
  const watchers = Array.from({ length: 20 }, () => openWatch(t, address, ""));
  for (const { until } of watchers) await until(1);
  assert.equal(server.figures.calls, 20);
  for (const { cancel } of watchers) cancel();
  for (const { ended } of watchers) await ended;
  for (let i = 0; i < 500 && server.figures.calls > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(server.figures.calls, 0);
  assert.equal(server.figures.heldBytes, 0);
});
