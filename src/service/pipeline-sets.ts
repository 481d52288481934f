/**
 * The sets of a pipeline that need nothing but to be done: several that follow one another
 * in a message are one run (engine/set-run.ts), so that what an operation costs is paid
 * once for all of them.
 *
 *     a plain set:  a key and a value within their limits; no expiry, no condition, no
 *                   previous record asked for; the durability of the run
 *     a run:        plain sets, two or more, as many as follow one another and fit
 *
 * Any other set is an operation like the others, and so is what is wrong with one.
 */
import { KEY_BYTES_MAX } from "../base/limits.js";
import { setRunBytes } from "../engine/set-run.js";
import type { Outcome, SetRun, SetRunResult } from "../engine/store.js";
import { PLACES_PER_RECORD } from "../format/plain-frames.js";
import { laneOf } from "./key-lanes.js";
import { fitsMessage } from "./kv-answers.js";
import { MESSAGE_SLACK_BYTES, type Message } from "./pipeline-operation.js";
import type { EncodedOperations } from "./pipeline-request.js";
import { SET_FIELD } from "./pipeline-results.js";
import { newSetPlaces, placeSet } from "./quick-requests.js";
import type { RunLimits } from "./set-operation.js";

/** A set alone costs less as an operation like the others. */
const RUN_SETS_MIN = 2;
/** What a set of a run takes of memory, beside the bytes that it came in: its entry, its place, its answer. */
const SET_BYTES = 256;
/** The longest run: what its message holds for its operations (pipeline.ts) is enough for it. */
const RUN_SETS_MAX = MESSAGE_SLACK_BYTES / SET_BYTES;
/** DURABILITY_UNSPECIFIED, _SYNC, _BUFFERED. */
const DURABILITY_MAX = 2;

const found = newSetPlaces();
/** Places on their way into a run; made once, for nothing is read between two turns. */
const scratch = new Int32Array(RUN_SETS_MAX * PLACES_PER_RECORD);

/** A run of plain sets on its way. */
export class PlainSets implements Outcome<SetRunResult> {
  readonly isRead = false;
  readonly message: Message;
  /** Which operations of the message they are. */
  readonly first: number;
  readonly count: number;
  readonly run: SetRun;
  /** As the field of a request has it. */
  readonly durability: number;
  /** What is held for it. */
  costBytes: number;
  readonly #onEnd: (sets: PlainSets) => void;
  #lanes: readonly number[] | undefined;
  /** What it ended with: a result, or an error. */
  result: SetRunResult | undefined;
  error: unknown;

  /** `onEnd` is called once, when it ended. */
  constructor(
    onEnd: (sets: PlainSets) => void,
    message: Message,
    first: number,
    run: SetRun,
    count: number,
    durability: number,
  ) {
    this.#onEnd = onEnd;
    this.message = message;
    this.first = first;
    this.run = run;
    this.count = count;
    this.durability = durability;
    this.costBytes = count * SET_BYTES;
  }

  /** The lanes of its keys; seldom asked for, so made then. */
  get lanes(): readonly number[] {
    if (this.#lanes === undefined) {
      const { source, places } = this.run;
      const lanes: number[] = [];
      for (let at = 0; at < places.length; at += PLACES_PER_RECORD) {
        lanes.push(laneOf(source, places[at], places[at + 1]));
      }
      this.#lanes = lanes;
    }
    return this.#lanes;
  }

  resolve(result: SetRunResult): void {
    this.result = result;
    this.#onEnd(this);
  }

  reject(error: unknown): void {
    this.error = error;
    this.#onEnd(this);
  }
}

/** The run of plain sets that begins with the next operation of a message, if one does. */
export function nextPlainSets(
  message: Message,
  limits: RunLimits,
  onEnd: (sets: PlainSets) => void,
): PlainSets | undefined {
  const { bytes, operations, next } = message;
  let runBytes = 0;
  let count = 0;
  let at = 0;
  let durability = 0;
  const end = Math.min(operations.count, next + RUN_SETS_MAX);
  for (let index = next; index < end; index += 1) {
    if (!isPlainSet(operations, index, bytes, limits.messageBytesMax)) break;
    if (count > 0 && found.durability !== durability) break;
    const { keyStart, keyEnd, valueStart, valueEnd } = found;
    runBytes += setRunBytes(keyEnd - keyStart, valueEnd - valueStart);
    if (runBytes > limits.runBytesMax) break;
    durability = found.durability;
    scratch[at] = keyStart;
    scratch[at + 1] = keyEnd;
    scratch[at + 2] = valueStart;
    scratch[at + 3] = valueEnd;
    at += PLACES_PER_RECORD;
    count += 1;
  }
  if (count < RUN_SETS_MIN) return undefined;
  const run = { source: bytes, places: scratch.slice(0, at) };
  return new PlainSets(onEnd, message, next, run, count, durability);
}

/** Whether an operation is a plain set; `found` then says where it lies in the message. */
function isPlainSet(
  operations: EncodedOperations,
  index: number,
  message: Uint8Array,
  messageBytesMax: number,
): boolean {
  if (operations.fieldOf(index) !== SET_FIELD || operations.sourceOf(index) !== message) {
    return false;
  }
  if (!placeSet(message, operations.startOf(index), operations.endOf(index), found)) return false;
  const keyBytes = found.keyEnd - found.keyStart;
  return (
    keyBytes > 0 &&
    keyBytes <= KEY_BYTES_MAX &&
    !found.returnPrevious &&
    found.durability <= DURABILITY_MAX &&
    // A little more than its record may take: what is near the limit is looked at alone.
    fitsMessage(setRunBytes(keyBytes, found.valueEnd - found.valueStart), messageBytesMax)
  );
}
