/** Plain sets of a pipeline that go to the store as one run, and those that may not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  Durability,
  PipelineRequestSchema,
  type SetRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { setRunBytes } from "../../src/engine/set-run.js";
import type { Store } from "../../src/engine/store.js";
import { fromStatus } from "../../src/rpc/status.js";
import { Message } from "../../src/service/pipeline-operation.js";
import { type EncodedOperations, readOperations } from "../../src/service/pipeline-request.js";
import { nextPlainSets } from "../../src/service/pipeline-sets.js";
import { recordsOfRun } from "../support/set-runs.js";
import { startMemoryServer } from "./memory-server.js";
import { type Asked, TestPipeline } from "./pipeline-client.js";

const timeout = 30_000;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const set = (key: string, value: string): Asked => ({
  case: "set",
  value: { key: bytes(key), value: bytes(value) },
});
const get = (key: string): Asked => ({ case: "get", value: { key: bytes(key) } });
const limits = { runBytesMax: 65_536, messageBytesMax: 4_194_304 };

type Sets = readonly MessageInitShape<typeof SetRequestSchema>[];

/** The runs of a message of sets: how many are in each; 0: one that is in none. */
function runsOf(sets: Sets, own: typeof limits = limits): number[] {
  const operations = sets.map((value) => ({ operation: { case: "set" as const, value } }));
  const made = toBinary(
    PipelineRequestSchema,
    create(PipelineRequestSchema, { operations } as MessageInitShape<typeof PipelineRequestSchema>),
  );
  const message = new Message(made, readOperations(made, 10_000) as EncodedOperations, 0);
  const runs: number[] = [];
  for (message.next = 0; message.next < sets.length; ) {
    const found = nextPlainSets(message, own, () => undefined);
    runs.push(found?.count ?? 0);
    if (found !== undefined) {
      for (const [at, { key, value }] of recordsOfRun(found.run).entries()) {
        const asked = sets[message.next + at];
        assert.deepEqual(Buffer.from(key), Buffer.from(asked?.key as Uint8Array));
        assert.deepEqual(Buffer.from(value), Buffer.from((asked?.value as Uint8Array) ?? []));
        assert.equal(found.durability, asked?.durability ?? 0);
      }
    }
    message.next += Math.max(found?.count ?? 0, 1);
  }
  return runs;
}

test("sets that follow one another are a run, and one that asks for more is none", () => {
  const key = bytes("k");
  const value = bytes("v");
  const plain = { key, value };
  const two = [plain, plain];
  const ttl = { ...plain, expiry: { case: "ttl", value: { seconds: 1n } } } as const;
  const present = { condition: { case: "present", value: true } } as const;
  assert.deepEqual(runsOf([plain, plain, { key }]), [3]);
  assert.deepEqual(runsOf([plain]), [0]);
  assert.deepEqual(runsOf([...two, ttl, ...two]), [2, 0, 2]);
  assert.deepEqual(runsOf([plain, ttl, ...two]), [0, 0, 2]);
  assert.deepEqual(runsOf([{ ...plain, precondition: present }, ...two]), [0, 2]);
  assert.deepEqual(runsOf([...two, { ...plain, returnPrevious: true }]), [2, 0]);
  assert.deepEqual(runsOf([{ value }, ...two]), [0, 2]);
  assert.deepEqual(runsOf([{ key: new Uint8Array(65_536), value }, ...two]), [0, 2]);
  const { BUFFERED, SYNC } = Durability;
  const buffered = { ...plain, durability: BUFFERED };
  const synced = { ...plain, durability: SYNC };
  assert.deepEqual(runsOf([...two, buffered, buffered, synced, synced]), [2, 2, 2]);
  assert.deepEqual(runsOf([{ ...plain, durability: 3 as Durability }, ...two]), [0, 2]);
});

test("a run is as long as may be, and a set that is too long for one, or for an answer, is in none", () => {
  const of = (valueBytes: number) => ({ key: bytes("k"), value: new Uint8Array(valueBytes) });
  const runBytesMax = 2 * setRunBytes(1, 100);
  const three = [of(100), of(100), of(100)];
  assert.deepEqual(runsOf(three, { ...limits, runBytesMax }), [2, 0]);
  assert.deepEqual(runsOf([of(1000), ...three], { ...limits, runBytesMax }), [0, 2, 0]);
  assert.deepEqual(runsOf([of(1000), ...three], { ...limits, messageBytesMax: 500 }), [0, 3]);
});

test("every set of any message is in one run or in none, where it lies", () => {
  const made = fc.array(
    fc.record({
      key: fc.uint8Array({ minLength: 0, maxLength: 300 }),
      value: fc.uint8Array({ maxLength: 300 }),
      durability: fc.constantFrom(0, 0, 0, 1, 2),
      returnPrevious: fc.constantFrom(false, false, false, true),
    }),
  );
  fc.assert(
    fc.property(made, (sets) => {
      const runs = runsOf(sets as Sets, { ...limits, runBytesMax: 1000 });
      assert.equal(
        runs.reduce((sum, count) => sum + Math.max(count, 1), 0),
        sets.length,
      );
    }),
  );
});

/** A server that counts the runs and the sets that its store is asked for. */
async function startCounting(
  t: Parameters<typeof startMemoryServer>[0],
  submitSets?: (below: Store) => Store["submitSets"],
) {
  const runs: number[] = [];
  let sets = 0;
  const memory = await startMemoryServer(t, {
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          if (name === "submitSet") sets += 1;
          if (name === "submitSets") {
            return (...args: Parameters<Store["submitSets"]>) => {
              runs.push(recordsOfRun(args[0]).length);
              (submitSets?.(target) ?? target.submitSets.bind(target))(...args);
            };
          }
          const member: unknown = Reflect.get(target, name);
          return typeof member === "function" ? member.bind(target) : member;
        },
      }),
  });
  return { ...memory, runs, sets: () => sets };
}

test("a message of sets is one run, and each of them has its result", { timeout }, async (t) => {
  const { client, runs, sets, store } = await startCounting(t);
  const pipeline = new TestPipeline(t, client);
  const ids = pipeline.send(...Array.from({ length: 100 }, (_, at) => set(`key ${at}`, "v")));
  await pipeline.until(100);
  assert.deepEqual(runs, [100]);
  for (const [at, id] of ids.entries()) {
    const result = pipeline.resultOf(id);
    assert.ok(result.case === "set");
    const { $typeName: _, ...answer } = result.value;
    assert.deepEqual(answer, {
      applied: true,
      version: BigInt(at + 1),
      storeVersion: 100n,
      valueOmitted: false,
      recordBytes: 0,
    });
  }
  assert.equal(store.version, 100);
  pipeline.send(set("a", "1"), get("a"), set("b", "1"), set("c", "1"), get("c"));
  await pipeline.until(105);
  // While the read of a waits, none may be held up with others.
  assert.deepEqual([runs, sets()], [[100], 3]);
});

test("sets of a run that are refused alone have errors, the others their versions; of one that fails all do (G-PIPE-4)", {
  timeout,
}, async (t) => {
  let call = 0;
  const { client } = await startCounting(t, (below) => (run, options, outcome) => {
    call += 1;
    if (call === 2) throw new KvixError("STORE_READ_ONLY");
    if (call === 3) return outcome.reject(new KvixError("SYNC_FAILED"));
    below.submitSets(run, options, {
      resolve: ({ firstVersion }) => {
        const refused = new Map([[1, new KvixError("INDEX_FULL")]]);
        outcome.resolve({ firstVersion, refused });
      },
      reject: (error) => outcome.reject(error),
    });
  });
  const pipeline = new TestPipeline(t, client);
  const first = pipeline.send(set("a", "1"), set("b", "1"), set("c", "1"));
  await pipeline.until(3);
  const found = first.map((id) => {
    const result = pipeline.resultOf(id);
    return result.case === "error" ? fromStatus(result.value)?.reason : result.value;
  });
  assert.equal(found[1], "INDEX_FULL");
  const versions = [found[0], found[2]].map((answer) => (answer as { version: bigint }).version);
  assert.deepEqual(versions, [1n, 2n]);
  for (const reason of ["STORE_READ_ONLY", "SYNC_FAILED"]) {
    const ids = pipeline.send(set("a", "1"), set("b", "1"));
    await pipeline.until(pipeline.results.length + 2);
    assert.deepEqual(
      ids.map((id) => pipeline.reasonOf(id)),
      [reason, reason],
    );
  }
  const { AdminService } = await import("../../gen/kvix/v1/kvix_pb.js");
  const { rpcs } = await client.call(AdminService.method.stats, {});
  const counted = rpcs.find(({ method }) => method === "kvix.v1.KvService/Set");
  assert.deepEqual([counted?.calls, counted?.errors], [7n, 5n]);
});
