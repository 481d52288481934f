/**
 * Results on their way into a PipelineResponse. An answer that was encoded for a
 * call of its own is spliced in as it is:
 *
 *     0a | length | 08 | id | tag of the answer | length | the answer
 *
 * A set that was applied is answered here, without bytes of its own before.
 *
 * The memory behind a message is at most twice as long as the message.
 */
import { varintBytes, writeVarint } from "../format/varint.js";
import { plainSetAnswerBytes, writePlainSetAnswer } from "./kv-answers.js";

/** What lies around an answer of its own, at most: two tags and lengths, and the id. */
export const RESULT_OVERHEAD_BYTES_MAX = 24;

/** The field of an error; the others bear the numbers of their operations. */
export const ERROR_FIELD = 2;
/** The field of a set. */
export const SET_FIELD = 5;

/** The most bytes of the result of a set that was applied and has nothing to say but its version. */
export const SET_RESULT_BYTES_MAX = RESULT_OVERHEAD_BYTES_MAX + 20;

/** Room for the first results of a message, at least; and at most, if the one before had more. */
const FIRST_BYTES = 256;
const FIRST_BYTES_MAX = 16_384;

/** The results that are not sent yet. */
export class PipelineResults {
  /** The message so far, and room behind it. */
  #message = NOTHING;
  #bytes = 0;
  /** How long the message before was. */
  #lastBytes = FIRST_BYTES;

  /** The bytes of the message that would be sent now. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /**
   * Takes a result in, whose id lies in `source` from `idStart` to `idEnd`; how many bytes
   * it makes the message longer.
   */
  add(
    source: Uint8Array,
    idStart: number,
    idEnd: number,
    field: number,
    answer: Uint8Array,
  ): number {
    const before = this.#bytes;
    const answerBytes = answer.length;
    this.#begin(source, idStart, idEnd, 1 + varintBytes(answerBytes) + answerBytes);
    this.#message[this.#bytes++] = (field << 3) | 2;
    this.#bytes = writeVarint(this.#message, this.#bytes, answerBytes);
    this.#message.set(answer, this.#bytes);
    this.#bytes += answerBytes;
    return this.#bytes - before;
  }

  /** The same for a set that was applied and has nothing to say but its version. */
  addSet(
    source: Uint8Array,
    idStart: number,
    idEnd: number,
    version: number,
    storeVersion: number,
  ): number {
    const before = this.#bytes;
    const answerBytes = plainSetAnswerBytes(version, storeVersion);
    this.#begin(source, idStart, idEnd, 2 + answerBytes);
    this.#message[this.#bytes++] = (SET_FIELD << 3) | 2;
    this.#message[this.#bytes++] = answerBytes;
    this.#bytes = writePlainSetAnswer(this.#message, this.#bytes, version, storeVersion);
    return this.#bytes - before;
  }

  /** The message of all results; there are none afterwards. */
  take(): Uint8Array {
    const message = this.#message.subarray(0, this.#bytes);
    this.#lastBytes = Math.min(Math.max(this.#bytes, FIRST_BYTES), FIRST_BYTES_MAX);
    this.#message = NOTHING;
    this.#bytes = 0;
    return message;
  }

  /** Writes what lies in front of an answer's field, which takes `fieldBytes`. */
  #begin(source: Uint8Array, idStart: number, idEnd: number, fieldBytes: number): void {
    const idBytes = idStart === idEnd ? 0 : 1 + idEnd - idStart;
    const resultBytes = idBytes + fieldBytes;
    this.#makeRoom(1 + varintBytes(resultBytes) + resultBytes);
    const message = this.#message;
    let at = this.#bytes;
    message[at++] = (1 << 3) | 2;
    at = writeVarint(message, at, resultBytes);
    if (idStart < idEnd) {
      message[at++] = 1 << 3;
      for (let from = idStart; from < idEnd; from += 1) message[at++] = source[from] as number;
    }
    this.#bytes = at;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#bytes + bytes;
    if (needed <= this.#message.length) return;
    const longer = Buffer.allocUnsafe(Math.max(needed, 2 * this.#message.length, this.#lastBytes));
    longer.set(this.#message.subarray(0, this.#bytes));
    this.#message = longer;
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
