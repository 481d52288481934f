/** Compact over the wire: what it tells, who shares a run, and everything that cancels it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import {
  AdminService,
  CompactionOutcome,
  CompactionPhase,
  type CompactResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { methodDefinition } from "../../src/rpc/definition.js";
import { compacting, FakeRun, progressOf } from "../support/compaction-run.js";
import { Rig } from "../support/store-rig.js";
import { startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";

const { compact, stats } = AdminService.method;

/** A server whose store's compaction goes on until the test ends it. */
async function startCompacting(t: TestContext) {
  const run = new FakeRun();
  t.after(() => run.end("completed"));
  const server = await startMemoryServer(t, {
    wrap: (store) => compacting(store, (options) => run.compact(options)),
  });
  return { ...server, run };
}

/** Reads a stream to its end. */
async function all(answers: AsyncIterable<CompactResponse>): Promise<CompactResponse[]> {
  const told: CompactResponse[] = [];
  for await (const answer of answers) told.push(answer);
  return told;
}

/** Reads `count` messages, and goes on with the same stream later. */
async function next(
  answers: AsyncIterator<CompactResponse>,
  count = 1,
): Promise<CompactResponse | undefined> {
  let last: CompactResponse | undefined;
  for (let index = 0; index < count; index += 1) last = (await answers.next()).value;
  return last;
}

test("Compact tells every figure of the run, and at its end how it ended", async (t) => {
  const { client, run, store } = await startCompacting(t);
  await store.set(Buffer.from("k"), Buffer.from("v"), { kind: "never" });
  const answers = client.stream(compact, {});
  const first = await next(answers);
  assert.equal(first?.progress?.phase, CompactionPhase.PREPARING);
  assert.equal(first?.progress?.outcome, CompactionOutcome.UNSPECIFIED);
  assert.equal(first?.storeVersion, 1n);
  run.update({
    phase: "copying",
    segmentsDone: 2,
    segmentsChosen: 7,
    bytesRead: 5_000_000_000,
    bytesWritten: 300,
    bytesReclaimed: -300,
    share: 0.25,
  });
  const { $typeName: _, ...told } = (await next(answers))?.progress ?? assert.fail("no progress");
  assert.deepEqual(told, {
    phase: CompactionPhase.COPYING,
    segmentsDone: 2,
    segmentsChosen: 7,
    bytesRead: 5_000_000_000n,
    bytesWritten: 300n,
    bytesReclaimed: -300n,
    shareDone: 0.25,
    outcome: CompactionOutcome.UNSPECIFIED,
    why: "",
  });
  for (const [phase, expected] of [
    ["committing", CompactionPhase.COMMITTING],
    ["removing", CompactionPhase.REMOVING],
  ] as const) {
    run.update({ phase });
    assert.equal((await next(answers))?.progress?.phase, expected);
  }
  run.end("declined", "there is no room");
  const last = (await all(answers)).at(-1)?.progress;
  assert.deepEqual(
    [last?.phase, last?.outcome, last?.why, last?.shareDone],
    [CompactionPhase.DONE, CompactionOutcome.DECLINED, "there is no room", 1],
  );
});

test("every outcome is an answer and none an error", async (t) => {
  for (const [outcome, expected] of [
    ["completed", CompactionOutcome.COMPLETED],
    ["nothing-to-do", CompactionOutcome.NOTHING_TO_DO],
    ["declined", CompactionOutcome.DECLINED],
    ["cancelled", CompactionOutcome.CANCELLED],
    ["failed", CompactionOutcome.FAILED],
  ] as const) {
    const { client, run } = await startCompacting(t);
    run.end(outcome, "why");
    const [last] = await all(client.stream(compact, {}));
    assert.equal(last?.progress?.outcome, expected);
  }
});

test("a store without anything to compact says so in one message", async (t) => {
  const rig = await Rig.open({ compaction: "manual" });
  t.after(() => rig.store.close());
  const { client } = await startMemoryServer(t, { wrap: () => rig.store });
  const answers = await all(client.stream(compact, {}));
  assert.equal(answers.at(-1)?.progress?.outcome, CompactionOutcome.NOTHING_TO_DO);
  for (const answer of answers.slice(0, -1)) {
    assert.equal(answer.progress?.outcome, CompactionOutcome.UNSPECIFIED);
  }
});

test("while the store opens, Compact is STORE_STARTING, and counted as an error", async (t) => {
  const { client, server, store } = await startMemoryServer(t, { isStarting: true });
  await refusal(all(client.stream(compact, {})), "STORE_STARTING");
  server.serve(store);
  const { rpcs } = await client.call(stats, {});
  const count = rpcs.find(({ method }) => method === "kvix.v1.AdminService/Compact");
  assert.deepEqual([count?.calls, count?.errors], [1n, 1n]);
});

test("M13: two who ask share a run, and it is cancelled when the second gives up too", {
  timeout: 20_000,
}, async (t) => {
  const { client, run } = await startCompacting(t);
  const callers = [new AbortController(), new AbortController()] as const;
  const streams = callers.map(({ signal }) => client.stream(compact, {}, { signal }));
  for (const stream of streams) await next(stream);
  assert.equal(run.askers, 2);
  run.update({ phase: "copying", segmentsDone: 3 });
  for (const stream of streams) assert.equal((await next(stream))?.progress?.segmentsDone, 3);
  callers[0].abort();
  await assert.rejects(next(streams[0] as never, 9), { code: status.CANCELLED });
  await run.until(() => run.askers === 1);
  assert.equal(run.outcome, undefined);
  run.update({ segmentsDone: 4 });
  assert.equal((await next(streams[1] as never))?.progress?.segmentsDone, 4);
  callers[1].abort();
  await assert.rejects(next(streams[1] as never, 9), { code: status.CANCELLED });
  await run.until(() => run.askers === 0);
  assert.equal(run.outcome, "cancelled");
});

test("M13: a run is cancelled by the deadline of its client, by leaving the loop, and by a cut connection", {
  timeout: 20_000,
}, async (t) => {
  const ways: readonly ((stream: AsyncGenerator<CompactResponse>, close: () => void) => unknown)[] =
    [
      (stream) => assert.rejects(all(stream), { code: status.DEADLINE_EXCEEDED }),
      (stream) => stream.return(undefined),
      (_, close) => close(),
    ];
  for (const [index, end] of ways.entries()) {
    const { client, run, server } = await startCompacting(t);
    const deadline = index === 0 ? { deadlineMs: Date.now() + 500 } : {};
    const stream = client.stream(compact, {}, deadline);
    await next(stream);
    assert.equal(run.askers, 1);
    await end(stream, () => client.close());
    if (index === 2) await stream.return(undefined);
    await run.until(() => run.askers === 0);
    assert.equal(run.outcome, "cancelled");
    await run.until(() => server.figures.calls === 0);
    assert.equal(server.figures.heldBytes, 0);
  }
});

test("M13: a server that stops ends Compact with STORE_CLOSING and does not wait for the run", {
  timeout: 20_000,
}, async (t) => {
  const { client, run, server } = await startCompacting(t);
  const stream = client.stream(compact, {});
  await next(stream);
  const ended = refusal(all(stream), "STORE_CLOSING");
  assert.equal(await server.stop(3_600_000), true);
  await ended;
  assert.equal(run.outcome, "cancelled");
});

test("M13: a Compact whose request is still on its way when the server stops is ended too", {
  timeout: 20_000,
}, async (t) => {
  const { address, run, server } = await startCompacting(t);
  const client = new Client(address, credentials.createInsecure());
  t.after(() => client.close());
  const { path, requestSerialize, responseDeserialize } = methodDefinition(compact, compact);
  // A stream of requests of which none is sent: the server has its headers and no more.
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
  await run.until(() => server.figures.calls === 1);
  const stopped = server.stop(3_600_000);
  await run.until(() => server.status.state === "draining");
  await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  call.write({ $typeName: "kvix.v1.CompactRequest" } as never);
  call.end();
  assert.equal((await ended).code, status.UNAVAILABLE);
  assert.equal(await stopped, true);
  assert.equal(run.askers, 0);
});

test("V11: a client that does not read is not asked for, and is told the newest when it reads again", {
  timeout: 30_000,
}, async (t) => {
  let told = 0;
  let segmentsDone = 0;
  let hasEnded = false;
  const { client, server } = await startMemoryServer(t, {
    wrap: (store) =>
      compacting(store, async function* ({ signal }) {
        while (!hasEnded && signal?.aborted !== true) {
          told += 1;
          yield progressOf({ segmentsDone, why: "x".repeat(16_384) });
        }
        yield progressOf({ segmentsDone, phase: "done", outcome: "completed" });
      }),
  });
  // grpc-js's client holds the server back only once something was read.
  const answers = client.stream(compact, {});
  await next(answers);
  let before = 0;
  while (told > before) {
    before = told;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(told < 2000, `${told} messages were made for nobody`);
  assert.ok(server.figures.heldBytes < 65_536);
  segmentsDone = 7;
  hasEnded = true;
  const read = await all(answers);
  assert.equal(read.at(-1)?.progress?.segmentsDone, 7);
  assert.equal(read.length, told);
});

test("a stream's refusal is the KvixError that the server threw", async (t) => {
  const { client } = await startMemoryServer(t, {
    wrap: (store) =>
      compacting(store, async function* () {
        yield progressOf({});
        throw new KvixError("STORE_CLOSING");
      }),
  });
  await refusal(all(client.stream(compact, {})), "STORE_CLOSING");
});
