/**
 * A PipelineRequest, taken apart without being decoded:
 *
 *     operations = 1, again and again: | 0a | length | an operation |
 *     an operation:                     | 08 | id | 1a..4a | length | the request |
 *
 * The request stays encoded until its turn comes, and the id until it goes into
 * the answer. Both are told by where they lie, in one array for all operations: a view
 * of each, or an object, would be the most of what an operation keeps in memory. Bytes that are no protobuf give `undefined`, nothing
 * is thrown. Fields may come in any order and more than once, as in every message:
 * the last one counts, and two parts of the same request are one after the other.
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

/** Where the operations of one message lie. */
export class EncodedOperations {
  readonly #message: Uint8Array;
  /** Of each: where its id starts and ends, its field, where its request starts and ends. */
  readonly #places: number[] = [];
  /** Requests that came in parts, put together, by operation. */
  #joined: Map<number, Uint8Array> | undefined;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /** How many there are. */
  get count(): number {
    return this.#places.length / PLACES;
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
    return this.#joined?.get(index) ?? this.#message;
  }

  /** Adds the operation that lies from `start` to `end`; false: it is none. */
  read(start: number, end: number): boolean {
    const message = this.#message;
    let idStart = 0;
    let idEnd = 0;
    let field = 0;
    let source = message;
    let from = 0;
    let to = 0;
    const cursor = new Cursor(message, start, end);
    while (cursor.next()) {
      if (cursor.field === ID) {
        if (cursor.wireType !== WIRE_VARINT) return false;
        idStart = cursor.start;
        idEnd = cursor.end;
      } else if (cursor.field >= REQUEST_MIN && cursor.field <= REQUEST_MAX) {
        if (cursor.wireType !== WIRE_LENGTH_DELIMITED) return false;
        if (field === cursor.field) {
          const part = message.subarray(cursor.start, cursor.end);
          source = Buffer.concat([source.subarray(from, to), part]);
          from = 0;
          to = source.length;
        } else {
          source = message;
          from = cursor.start;
          to = cursor.end;
        }
        field = cursor.field;
      }
    }
    if (!cursor.isSound) return false;
    if (source !== message) {
      this.#joined ??= new Map();
      this.#joined.set(this.count, source);
    }
    this.#places.push(idStart, idEnd, field, from, to);
    return true;
  }
}

const PLACES = 5;

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

/** The operations of a message, or undefined if it is none. */
export function readOperations(message: Uint8Array): EncodedOperations | undefined {
  const operations = new EncodedOperations(message);
  const cursor = new Cursor(message, 0, message.length);
  while (cursor.next()) {
    if (cursor.field !== OPERATIONS) continue;
    if (cursor.wireType !== WIRE_LENGTH_DELIMITED) return undefined;
    if (!operations.read(cursor.start, cursor.end)) return undefined;
  }
  return cursor.isSound ? operations : undefined;
}

/** Goes from field to field. */
class Cursor {
  readonly #bytes: Uint8Array;
  readonly #last: number;
  #at: number;
  /** Whether all fields so far were whole. */
  isSound = true;
  field = 0;
  wireType = 0;
  /** Where the field's value lies. */
  start = 0;
  end = 0;

  constructor(bytes: Uint8Array, start: number, last: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#last = last;
  }

  /** To the next field; false: there is none, or it is not sound. */
  next(): boolean {
    if (this.#at >= this.#last || !this.isSound) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
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
