/**
 * Watch: the request checked, and a stream of WatchResponse. A step of the engine's watch
 * is a message; records pass from the disk to the wire without being decoded.
 *
 * Nothing of a step is kept when its message is made, and the next one is made when that
 * was taken: so a client that does not read costs one message and what the transport
 * makes of it, and when it has taken nothing for the message timeout the stream is cut.
 */
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  WatchEventKind,
  type WatchRequest,
  type WatchResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { ResumePoint } from "../base/kvix-error.js";
import { VERSION_MAX } from "../base/limits.js";
import type { Store } from "../engine/store.js";
import type { WatchEvent, WatchOptions, WatchStep, WatchSteps } from "../engine/store-watch.js";
import { varintBytes } from "../format/varint.js";
import { ANSWER_OVERHEAD_BYTES_MAX, AnswerWriter } from "../rpc/answer-writer.js";
import type { CallContext, Report } from "../rpc/calls.js";
import { STORE_VERSION } from "./kv-answers.js";
import { fieldInvalid, requireKey } from "./validation.js";

const MS_PER_SECOND = 1000n;
const NANOS_PER_MS = 1_000_000;
const PROGRESS_RANGE = "from 100 ms to 1 h";
const HOUR_MS = 3_600_000n;
/** What lies around the record of an event, at most: five tags, its length, kind, size and marks. */
const EVENT_OVERHEAD_BYTES = 32;

const kinds = {
  set: WatchEventKind.SET,
  delete: WatchEventKind.DELETE,
  expire: WatchEventKind.EXPIRE,
} as const satisfies Record<WatchEvent["kind"], WatchEventKind>;

/** Begins to watch `store`; what a watch is refused with it throws at once. */
export function watch(
  store: Store,
  request: WatchRequest,
  messageBytesMax: number,
  { signal }: CallContext,
): Report<typeof WatchResponseSchema> {
  const bytesMax = messageBytesMax - ANSWER_OVERHEAD_BYTES_MAX;
  const steps = store.watch({ ...optionsOf(request), bytesMax, signal });
  return new WatchAnswers(store, steps);
}

/** What a request asks of the store. */
function optionsOf(request: WatchRequest): WatchOptions {
  const { key, prefix, start, end, keysOnly, includeCurrent, afterVersion } = request;
  if (afterVersion !== undefined && afterVersion > BigInt(VERSION_MAX)) {
    throw fieldInvalid("after_version", `from 0 to ${VERSION_MAX}`);
  }
  if (key.length > 0) requireKey(key);
  return {
    key,
    prefix,
    start,
    end,
    keysOnly,
    includeCurrent,
    afterVersion: afterVersion === undefined ? undefined : Number(afterVersion),
    progressIntervalMs: progressMs(request.progressInterval),
  };
}

function progressMs(interval: Duration | undefined): number | undefined {
  if (interval === undefined) return undefined;
  const { seconds, nanos } = interval;
  const isPositive = seconds >= 0n && seconds <= HOUR_MS && nanos >= 0 && nanos < 1_000_000_000;
  if (!isPositive) throw fieldInvalid("progress_interval", PROGRESS_RANGE);
  const ms = Number(seconds * MS_PER_SECOND) + Math.ceil(nanos / NANOS_PER_MS);
  if (ms < 100 || ms > Number(HOUR_MS)) throw fieldInvalid("progress_interval", PROGRESS_RANGE);
  return ms;
}

/** The messages of a watch. */
class WatchAnswers implements Report<typeof WatchResponseSchema> {
  readonly #store: Store;
  readonly #steps: WatchSteps;

  constructor(store: Store, steps: WatchSteps) {
    this.#store = store;
    this.#steps = steps;
  }

  get resume(): ResumePoint {
    return this.#steps.resume;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    // No generator: that would keep the step while its message waits to be taken.
    return {
      next: async () => {
        const { done, value } = await this.#steps.next();
        if (done === true) return { done, value: undefined };
        return { done: false, value: encodeWatchAnswer(value, this.#store.version) };
      },
      return: async () => {
        await this.#steps.return?.();
        return { done: true, value: undefined };
      },
    };
  }
}

/** WatchResponse. */
export function encodeWatchAnswer(step: WatchStep, storeVersion: number): Uint8Array {
  const pieces = step.events.map(pieceOf);
  let room = 0;
  for (const { bytes } of pieces) room += bytes + EVENT_OVERHEAD_BYTES;
  const writer = new AnswerWriter(room);
  for (const { event, bytes, record } of pieces) {
    writer.header(1, bytes);
    writer.uint(1, kinds[event.kind]);
    writer.message(2, [record]);
    writer.bool(3, isOmitted(event));
    writer.uint(4, event.recordBytes);
    writer.bool(5, event.record === "unreadable");
  }
  writer.uint(2, step.version);
  writer.bool(3, step.isCurrent);
  writer.bool(4, step.continues);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/** A WatchEvent before it is written. */
interface Piece {
  readonly event: WatchEvent;
  /** Of its message. */
  readonly bytes: number;
  readonly record: Uint8Array;
}

function pieceOf(event: WatchEvent): Piece {
  const record = typeof event.record === "string" ? bareRecord(event) : event.record;
  const bytes =
    2 +
    (1 + varintBytes(record.length) + record.length) +
    (isOmitted(event) ? 2 : 0) +
    (event.recordBytes === 0 ? 0 : 1 + varintBytes(event.recordBytes)) +
    (event.record === "unreadable" ? 2 : 0);
  return { event, bytes, record };
}

/** Whether a value was asked for and is not there. */
function isOmitted({ record }: WatchEvent): boolean {
  return record === "too-large" || record === "unreadable";
}

/** A Record of what is known without the disk. */
function bareRecord({ key, version, expiresAtMs }: WatchEvent): Uint8Array {
  const writer = new AnswerWriter(key.length);
  writer.message(1, [key]);
  writer.uint(3, version);
  writer.timestamp(5, expiresAtMs);
  return writer.finish();
}
