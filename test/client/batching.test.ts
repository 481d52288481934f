/** Calls of one turn on one stream: how many messages, and what a stream's end means. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type KvService,
  type PipelineOperation,
  PipelineRequestSchema,
  PipelineResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/client/connect.js";
import { PipelineCalls } from "../../src/client/pipeline-calls.js";
import { NodeClock } from "../../src/host/node-clock.js";
import type { RpcClient } from "../../src/rpc/client.js";
import type { ExchangeEvents } from "../../src/rpc/client-exchange.js";
import { refusal } from "../conformance/suite.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
const never = { dueMs: Number.POSITIVE_INFINITY, signal: undefined, isRead: true };
const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
const getOf = (key: string) => ({ case: "get", value: { key: Buffer.from(key) } }) as never;

/** One stream that a test plays the server of. */
class FakeStream {
  readonly events: ExchangeEvents;
  readonly messages: PipelineOperation[][] = [];
  isFull = false;

  constructor(events: ExchangeEvents) {
    this.events = events;
  }

  write(message: Uint8Array): boolean {
    this.messages.push(fromBinary(PipelineRequestSchema, message).operations);
    return !this.isFull;
  }

  cancel(): void {
    this.events.onEnd(new KvixError("CANCELLED"));
  }

  /** Answers operations with a version of their own id. */
  answer(...operations: readonly PipelineOperation[]): void {
    const results = operations.map(({ id }) => ({
      id,
      result: { case: "get", value: { storeVersion: id } } as const,
    }));
    const message = create(PipelineResponseSchema, { results });
    this.events.onMessage(toBinary(PipelineResponseSchema, message));
  }
}

function makeCalls(inFlightBytesMax = 1_048_576) {
  const streams: FakeStream[] = [];
  const client = {
    exchange: (_method: typeof KvService.method.pipeline, events: ExchangeEvents) => {
      const stream = new FakeStream(events);
      streams.push(stream);
      return stream;
    },
  };
  const calls = new PipelineCalls(
    client as unknown as RpcClient,
    new NodeClock(),
    inFlightBytesMax,
  );
  return { calls, streams };
}

test("the calls of one turn go into one message, and each gets its own answer (G-CLIENT-6)", async () => {
  const { calls, streams } = makeCalls();
  const asked = Array.from({ length: 100 }, (_, at) => calls.call(getOf(`${at}`), never));
  await turn();
  const [stream] = streams;
  assert.equal(streams.length, 1);
  assert.equal(stream?.messages.length, 1);
  const [operations = []] = stream?.messages ?? [];
  assert.equal(operations.length, 100);
  stream?.answer(...operations.toReversed());
  const answers = await Promise.all(asked);
  assert.deepEqual(
    answers.map((answer) => (answer as { value: { storeVersion: bigint } }).value.storeVersion),
    operations.map(({ id }) => id),
  );
});

test("what does not leave waits, and goes on together when it does", async () => {
  const { calls, streams } = makeCalls();
  void calls.call(getOf("a"), never);
  await turn();
  const stream = streams[0] as FakeStream;
  stream.isFull = true;
  void calls.call(getOf("b"), never);
  await turn();
  void calls.call(getOf("c"), never);
  await turn();
  void calls.call(getOf("d"), never);
  await turn();
  assert.equal(stream.messages.length, 2);
  stream.isFull = false;
  stream.events.onDrained();
  assert.deepEqual(
    stream.messages.map((operations) => operations.length),
    [1, 1, 2],
  );
});

test("long messages are cut, and a long operation has a call of its own", async () => {
  const { calls, streams } = makeCalls(64 * 1_048_576);
  assert.equal(calls.call(getOf("k".repeat(65_530)), never), undefined);
  for (let at = 0; at < 10; at += 1) void calls.call(getOf("k".repeat(60_000)), never);
  await turn();
  const lengths = streams[0]?.messages.map((operations) => operations.length);
  assert.deepEqual(lengths, [4, 4, 2]);
});

test("beyond the bytes in flight a call is OVERLOADED, and not sent (G-CLIENT-7, V11)", async () => {
  const { calls, streams } = makeCalls(1000);
  const first = calls.call(getOf("k".repeat(500)), never);
  const error = await refusal(
    calls.call(getOf("k".repeat(500)), never) as Promise<unknown>,
    "OVERLOADED",
  );
  assert.equal(error.outcome, "not-applied");
  await turn();
  const [operations = []] = streams[0]?.messages ?? [];
  assert.equal(operations.length, 1);
  streams[0]?.answer(...operations);
  await first;
  void calls.call(getOf("k".repeat(500)), never);
  await turn();
  assert.equal(streams[0]?.messages.length, 2);
});

test("V11: what is given up behind a stream that takes nothing is not kept (G-CLIENT-7)", async () => {
  const { calls, streams } = makeCalls();
  void calls.call(getOf("a"), never);
  await turn();
  const stream = streams[0] as FakeStream;
  stream.isFull = true;
  void calls.call(getOf("b"), never);
  await turn();
  const key = "k".repeat(60_000);
  const usedBytes = (): number => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const before = usedBytes();
  for (let round = 0; round < 500; round += 1) {
    const giveUp = new AbortController();
    const call = calls.call(getOf(key), { ...never, signal: giveUp.signal });
    giveUp.abort();
    await refusal(call as Promise<unknown>, "CANCELLED");
  }
  await turn();
  usedBytes();
  const keptBytes = usedBytes() - before;
  assert.ok(keptBytes < 5_000_000, `${keptBytes} bytes are kept`);
  stream.isFull = false;
  stream.events.onDrained();
  assert.equal(stream.messages.length, 2, "and nothing of it is sent");
});

test("a call that is given up before its turn is not sent (G-CLIENT-5)", async () => {
  const { calls, streams } = makeCalls();
  const giveUp = new AbortController();
  const limits = { dueMs: Number.POSITIVE_INFINITY, signal: giveUp.signal, isRead: false };
  const given = calls.call(getOf("a"), limits) as Promise<unknown>;
  void calls.call(getOf("b"), never);
  giveUp.abort();
  assert.equal((await refusal(given, "CANCELLED")).outcome, "not-applied");
  await turn();
  assert.deepEqual(
    streams[0]?.messages.map((operations) => operations.length),
    [1],
  );
});

test("when a server says why it ends the stream, what has no result was not done (G-CLIENT-4)", async () => {
  const { calls, streams } = makeCalls();
  const write = { ...never, isRead: false };
  const answered = calls.call(getOf("a"), write);
  const open = calls.call(getOf("b"), write) as Promise<unknown>;
  await turn();
  const stream = streams[0] as FakeStream;
  stream.answer(stream.messages[0]?.[0] as PipelineOperation);
  stream.events.onEnd(new KvixError("STORE_CLOSING"));
  await answered;
  const error = await refusal(open, "STORE_CLOSING");
  assert.deepEqual([error.outcome, error.retry], ["not-applied", "after-delay"]);
  // The next call begins a stream.
  void calls.call(getOf("c"), write);
  await turn();
  assert.equal(streams.length, 2);
});

test("what was not sent when a stream ends goes on the next one (G-CLIENT-6)", async () => {
  const { calls, streams } = makeCalls();
  void calls.call(getOf("a"), never)?.catch(() => undefined);
  await turn();
  const stream = streams[0] as FakeStream;
  stream.isFull = true;
  void calls.call(getOf("b"), never)?.catch(() => undefined);
  await turn();
  const waiting = calls.call(getOf("c"), never);
  stream.events.onEnd(new KvixError("STORE_CLOSING"));
  await turn();
  const [operations = []] = streams[1]?.messages ?? [];
  assert.equal(operations.length, 1);
  streams[1]?.answer(...operations);
  await waiting;
});
