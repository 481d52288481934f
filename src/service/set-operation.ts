/**
 * Set, from a request to the bytes of its answer: what a call of its own and an operation
 * of a pipeline, which does without a promise, have in common.
 *
 *     request -> checked -> the store -> outcome -> encoded
 */
import type { Durability, SetRequest } from "../../gen/kvix/v1/kvix_pb.js";
import type {
  Expiry,
  Outcome,
  SetResult,
  SetRun,
  SetRunResult,
  WriteOptions,
} from "../engine/store.js";
import type { Carrier } from "./carrier.js";
import { type AnswerLimits, encodeSetAnswer } from "./kv-answers.js";
import type { KvServiceContext } from "./kv-context.js";
import { requireReadable } from "./record-size.js";
import {
  requireCondition,
  requireDurability,
  requireExpiry,
  requireKey,
  requireValue,
} from "./validation.js";

/** What is read of a SetRequest. */
export type SetFields = Pick<
  SetRequest,
  "key" | "value" | "expiry" | "precondition" | "returnPrevious" | "durability"
>;

/** What a store's set takes. */
export interface SetArguments {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly expiry: Expiry;
  readonly options: WriteOptions;
}

/** What may be in a run of sets. */
export interface RunLimits {
  /** The longest run, as `setRunBytes` counts. */
  readonly runBytesMax: number;
  /** The largest message that a record must fit, in bytes. */
  readonly messageBytesMax: number;
}

/** Asks a store to set, and says what it answered. */
export class SetOperation {
  readonly #context: KvServiceContext;
  readonly #carrier: Carrier;
  readonly #limits: AnswerLimits;

  constructor(context: KvServiceContext, carrier: Carrier) {
    this.#context = context;
    this.#carrier = carrier;
    const { messageBytesMax } = context;
    this.#limits = { messageBytesMax, carries: (value) => carrier.carries(value) };
  }

  /** What the store is asked for. Throws what is wrong with the request. */
  asked(request: SetFields, signal: AbortSignal): SetArguments {
    const { clock, messageBytesMax } = this.#context;
    const key = requireKey(request.key);
    this.#carrier.check("key", key);
    const value = requireValue(request.value);
    this.#carrier.check("value", value);
    const expiry = requireExpiry(request.expiry, clock.wallMs());
    const options = {
      condition: requireCondition(request.precondition),
      returnPrevious: request.returnPrevious,
      durability: requireDurability(request.durability),
      signal,
    };
    requireReadable(key, value, messageBytesMax);
    return { key, value, expiry, options };
  }

  /** Begins it. Throws what is wrong with the request; `outcome` hears all else. */
  begin(request: SetFields, signal: AbortSignal, outcome: Outcome<SetResult>): void {
    const { key, value, expiry, options } = this.asked(request, signal);
    this.#context.store.submitSet(key, value, expiry, options, outcome);
  }

  /** Begins a run of plain sets of one durability. Throws what is wrong with it, as `begin` does. */
  beginRun(
    run: SetRun,
    durability: Durability,
    signal: AbortSignal,
    outcome: Outcome<SetRunResult>,
  ): void {
    const options = { durability: requireDurability(durability), signal };
    this.#context.store.submitSets(run, options, outcome);
  }

  /** What a run is to keep within. */
  get runLimits(): RunLimits {
    const { store, messageBytesMax } = this.#context;
    return { runBytesMax: store.setRunBytesMax, messageBytesMax };
  }

  /** The newest version of the store, which every answer bears. */
  get storeVersion(): number {
    return this.#context.store.version;
  }

  /** The bytes of its SetResponse. */
  encode(result: SetResult): Uint8Array {
    return encodeSetAnswer(result, this.#context.store.version, this.#limits);
  }
}
