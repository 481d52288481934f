/**
 * A PipelineRequest, taken apart without being decoded:
 *
 *     operations = 1, again and again: | 0a | length | an operation |
 *     an operation:                     | 08 | id | 1a..4a | length | the request |
 *
 * The request stays encoded until its turn comes, and the id until it goes into
 * the answer. Both are told by where they lie, in one array for all operations: a view
 * of each, or an object, would be the most of what an operation keeps in memory. Bytes
 * that are no protobuf give `undefined`, nothing is thrown. Fields may come in any order
 * and more than once, as in every message: the last one counts, and two parts of the same
 * request are one after the other.
 */

/** One operation. */
export interface EncodedOperation {
  /** Where in the message the id lies as it came: a varint, or nothing for 0. */
  readonly idStart: number;
  readonly idEnd: number;
  /** The number of the request's field; 0: there is none. */
  readonly field: number;
  /** What holds the encoded request, and where it lies there: the message, as a rule. */
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const OPERATIONS = 1;
const ID = 1;
/** The fields of the oneof. */
const REQUEST_MIN = 3;
const REQUEST_MAX = 15;

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_LENGTH_DELIMITED = 2;
const WIRE_FIXED32 = 5;
const VARINT_BYTES_MAX = 10;

/** How many numbers say where an operation lies. */
const PLACES = 5;

/** Where the operations of one message lie. */
export class EncodedOperations {
  readonly #message: Uint8Array;
  /** Of each: where its id starts and ends, its field, where its request starts and ends. */
  readonly #places: Int32Array;
  /** Requests that came in parts, put together, by operation. */
  readonly #joined: ReadonlyMap<number, Uint8Array>;
  /** How many there are. */
  readonly count: number;

  constructor(message: Uint8Array, places: Int32Array, joined: ReadonlyMap<number, Uint8Array>) {
    this.#message = message;
    this.#places = places;
    this.#joined = joined;
    this.count = places.length / PLACES;
  }

  /** One of them, from 0. */
  at(index: number): EncodedOperation {
    return {
      idStart: this.idStartOf(index),
      idEnd: this.idEndOf(index),
      field: this.fieldOf(index),
      source: this.sourceOf(index),
      start: this.startOf(index),
      end: this.endOf(index),
    };
  }

  idStartOf(index: number): number {
    return this.#places[index * PLACES] as number;
  }

  idEndOf(index: number): number {
    return this.#places[index * PLACES + 1] as number;
  }

  fieldOf(index: number): number {
    return this.#places[index * PLACES + 2] as number;
  }

  startOf(index: number): number {
    return this.#places[index * PLACES + 3] as number;
  }

  endOf(index: number): number {
    return this.#places[index * PLACES + 4] as number;
  }

  sourceOf(index: number): Uint8Array {
    return this.#joined.get(index) ?? this.#message;
  }
}

const NOT_JOINED: ReadonlyMap<number, Uint8Array> = new Map();

/** Places on their way into operations; made once, for nothing is read between two turns. */
let scratch = new Int32Array(128 * PLACES);

/**
 * The operations of a message, or undefined if it is none. "too many": it has more than
 * `countMax`, and no more is kept of it.
 */
export function readOperations(
  message: Uint8Array,
  countMax: number,
): EncodedOperations | "too many" | undefined {
  const cursor = new Cursor(message);
  const inner = new Cursor(message);
  cursor.enter(0, message.length);
  let joined: Map<number, Uint8Array> | undefined;
  let count = 0;
  while (cursor.next()) {
    if (cursor.field !== OPERATIONS) continue;
    if (cursor.wireType !== WIRE_LENGTH_DELIMITED) return undefined;
    const at = Math.min(count, countMax) * PLACES;
    if (at === scratch.length) scratch = longer(scratch);
    inner.enter(cursor.start, cursor.end);
    const source = placeOperation(message, inner, scratch, at);
    if (source === undefined) return undefined;
    if (source !== message) {
      joined ??= new Map();
      joined.set(Math.min(count, countMax), source);
    }
    count += 1;
  }
  if (!cursor.isSound) return undefined;
  if (count > countMax) return "too many";
  return new EncodedOperations(message, scratch.slice(0, count * PLACES), joined ?? NOT_JOINED);
}

function longer(places: Int32Array): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(2 * places.length);
  twice.set(places);
  return twice;
}

/**
 * Notes where the parts of the operation lie that the cursor has entered; answers what
 * holds its request, or undefined if it is no operation.
 */
function placeOperation(
  message: Uint8Array,
  cursor: Cursor,
  places: Int32Array,
  at: number,
): Uint8Array | undefined {
  let idStart = 0;
  let idEnd = 0;
  let field = 0;
  let source = message;
  let joined: Uint8Array | undefined;
  let from = 0;
  let to = 0;
  while (cursor.next()) {
    if (cursor.field === ID) {
      if (cursor.wireType !== WIRE_VARINT) return undefined;
      idStart = cursor.start;
      idEnd = cursor.end;
    } else if (cursor.field >= REQUEST_MIN && cursor.field <= REQUEST_MAX) {
      if (cursor.wireType !== WIRE_LENGTH_DELIMITED) return undefined;
      if (field === cursor.field) {
        // Room for all that may follow, once: a million parts are not copied a million times.
        joined ??= Buffer.allocUnsafe(to - from + cursor.restBytes);
        if (source === message) {
          joined.set(message.subarray(from, to));
          source = joined;
          to -= from;
          from = 0;
        }
        joined.set(message.subarray(cursor.start, cursor.end), to);
        to += cursor.end - cursor.start;
      } else {
        source = message;
        from = cursor.start;
        to = cursor.end;
      }
      field = cursor.field;
    }
  }
  if (!cursor.isSound) return undefined;
  places[at] = idStart;
  places[at + 1] = idEnd;
  places[at + 2] = field;
  places[at + 3] = from;
  places[at + 4] = to;
  return source;
}

/** Goes from field to field. */
class Cursor {
  readonly #bytes: Uint8Array;
  #last = 0;
  #at = 0;
  /** Whether all fields so far were whole. */
  isSound = true;
  field = 0;
  wireType = 0;
  /** Where the field's value lies. */
  start = 0;
  end = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** To the first field of the message that lies from `start` to `last`. */
  enter(start: number, last: number): void {
    this.#at = start;
    this.#last = last;
    this.isSound = true;
  }

  /** How many bytes there are from the field's value on. */
  get restBytes(): number {
    return this.#last - this.start;
  }

  /** To the next field; false: there is none, or it is not sound. */
  next(): boolean {
    if (this.#at >= this.#last || !this.isSound) return false;
    const tag = this.#varint();
    this.field = tag < 0x80 ? tag >>> 3 : Math.floor(tag / 8);
    this.wireType = tag & 7;
    this.start = this.#at;
    this.isSound &&= this.field > 0 && this.#skip();
    return this.isSound;
  }

  #skip(): boolean {
    switch (this.wireType) {
      case WIRE_VARINT:
        this.#varint();
        this.end = this.#at;
        return this.isSound;
      case WIRE_FIXED64:
        return this.#advance(8);
      case WIRE_FIXED32:
        return this.#advance(4);
      case WIRE_LENGTH_DELIMITED: {
        const length = this.#varint();
        this.start = this.#at;
        return this.isSound && this.#advance(length);
      }
      default:
        return false;
    }
  }

  #advance(length: number): boolean {
    this.#at += length;
    this.end = this.#at;
    return this.#at <= this.#last;
  }

  /** A varint of any length; past 53 bits only its end is right. */
  #varint(): number {
    // Most have one byte.
    const first = this.#bytes[this.#at] as number;
    if (first < 0x80 && this.#at < this.#last) {
      this.#at += 1;
      return first;
    }
    let value = 0;
    let scale = 1;
    const limit = Math.min(this.#last, this.#at + VARINT_BYTES_MAX);
    while (this.#at < limit) {
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    this.isSound = false;
    return 0;
  }
}
