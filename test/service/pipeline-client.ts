/** A pipeline as a test has it: messages out, results in, in the order in which they come. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  KvService,
  type PipelineOperationSchema,
  PipelineRequestSchema,
  PipelineResponseSchema,
  type PipelineResult,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { RpcClient } from "../../src/rpc/client.js";
import type { ClientExchange } from "../../src/rpc/client-exchange.js";
import { fromStatus } from "../../src/rpc/status.js";

/** What an operation is asked to do. */
export type Asked = NonNullable<
  Extract<MessageInitShape<typeof PipelineOperationSchema>, { operation?: unknown }>["operation"]
>;

/** A stream under way. */
export class TestPipeline {
  readonly #exchange: ClientExchange;
  readonly #waiters: (() => void)[] = [];
  /** Every result so far. */
  readonly results: PipelineResult[] = [];
  /** How many messages they came in, and the longest. */
  messages = 0;
  longestBytes = 0;
  /** What the stream ended with; undefined in it: well. */
  ending: { readonly error: unknown } | undefined;
  #nextId = 1n;

  constructor(
    t: Pick<TestContext, "after">,
    client: RpcClient,
    method = KvService.method.pipeline,
  ) {
    this.#exchange = client.exchange(method, {
      onMessage: (message) => {
        this.messages += 1;
        this.longestBytes = Math.max(this.longestBytes, message.length);
        this.results.push(...fromBinary(PipelineResponseSchema, message).results);
        this.#wake();
      },
      onDrained: () => undefined,
      onEnd: (error) => {
        this.ending = { error };
        this.#wake();
      },
    });
    t.after(() => this.#exchange.cancel());
  }

  /** Sends one message of operations; their ids. */
  send(...asked: readonly Asked[]): bigint[] {
    const operations = asked.map((operation) => ({ id: this.#nextId++, operation }));
    const request = create(PipelineRequestSchema, { operations });
    this.sendBytes(toBinary(PipelineRequestSchema, request));
    return operations.map(({ id }) => id);
  }

  sendBytes(message: Uint8Array): void {
    this.#exchange.write(message);
  }

  halfClose(): void {
    this.#exchange.halfClose();
  }

  cancel(): void {
    this.#exchange.cancel();
  }

  /** Stops reading, or goes on. */
  set isPaused(isPaused: boolean) {
    this.#exchange.isPaused = isPaused;
  }

  /** Resolves when there are so many results; fails if the stream ends before. */
  async until(count: number): Promise<readonly PipelineResult[]> {
    while (this.results.length < count) {
      assert.equal(this.ending, undefined, `the stream ended: ${String(this.ending?.error)}`);
      await this.#turn();
    }
    return this.results;
  }

  /** Resolves to what the stream ends with. */
  async end(): Promise<unknown> {
    while (this.ending === undefined) await this.#turn();
    return this.ending.error;
  }

  /** The result of an operation, as its answer or as the reason that it was refused with. */
  resultOf(id: bigint): PipelineResult["result"] {
    const found = this.results.filter((result) => result.id === id);
    assert.equal(found.length, 1, `operation ${id} has ${found.length} results`);
    return (found[0] as PipelineResult).result;
  }

  /** The reason that an operation was refused with. */
  reasonOf(id: bigint): string | undefined {
    const result = this.resultOf(id);
    assert.equal(result.case, "error");
    return fromStatus(result.value)?.reason;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}
