/** Values that go piece by piece. */
import { KvixError } from "../base/kvix-error.js";
import { VALUE_BYTES_MAX } from "../base/limits.js";
import { bytesOf, type Data, textOf } from "./data.js";
import type { SetOptions, SetResult } from "./writes.js";

/** What is uploaded: all of it at hand, or piece by piece. */
export type UploadSource = Data | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How a value is uploaded. */
export interface UploadOptions extends Omit<SetOptions, "returnPrevious"> {
  /** The length of the value in bytes: must be told of one that comes piece by piece. */
  readonly valueBytes?: number | undefined;
}

/** The answer to an upload. */
export type UploadResult = Omit<SetResult, "previous">;

/** The longest piece that is sent at once, in bytes. */
export const UPLOAD_CHUNK_BYTES = 262_144;

/** A record whose value comes piece by piece. To be taken once. */
export interface Download extends AsyncIterable<Uint8Array>, AsyncDisposable {
  readonly version: number;
  readonly updateTime: Date;
  /** Undefined: never. */
  readonly expireTime: Date | undefined;
  readonly valueBytes: number;
  /** The whole value. Throws what the pieces throw: RECORD_CORRUPT among them. */
  bytes(): Promise<Uint8Array>;
  /** The whole value as text; throws NOT_TEXT too. */
  text(): Promise<string>;
}

/** What a value that is to be uploaded is, told apart. */
export type KnownSource =
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  | {
      readonly kind: "pieces";
      readonly valueBytes: number;
      readonly pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
    };

/** Tells apart what is to be uploaded. Throws FIELD_INVALID if its length is not known, or wrong. */
export function sourceOf(source: UploadSource, valueBytes: number | undefined): KnownSource {
  if (typeof source === "string" || source instanceof Uint8Array) {
    const bytes = bytesOf(source, "value");
    if (valueBytes === undefined || valueBytes === bytes.length) return { kind: "whole", bytes };
    throw new KvixError(
      "UPLOAD_MISMATCH",
      `${bytes.length} bytes, and ${valueBytes} were announced`,
    );
  }
  if (valueBytes !== undefined) return { kind: "pieces", valueBytes, pieces: source };
  const range = `0 to ${VALUE_BYTES_MAX}`;
  throw new KvixError("FIELD_INVALID", "valueBytes must be told of a value in pieces", {
    metadata: { field: "valueBytes", range },
  });
}

/** The pieces of a value of which all is at hand. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += UPLOAD_CHUNK_BYTES) {
    yield bytes.subarray(at, at + UPLOAD_CHUNK_BYTES);
  }
}

/** A download over pieces; `close` lets go of what it holds. */
export class PiecewiseDownload implements Download {
  readonly version: number;
  readonly updateTime: Date;
  readonly expireTime: Date | undefined;
  readonly valueBytes: number;
  readonly #pieces: AsyncIterable<Uint8Array>;
  readonly #close: () => void;

  constructor(
    facts: Pick<Download, "version" | "updateTime" | "expireTime" | "valueBytes">,
    pieces: AsyncIterable<Uint8Array>,
    close: () => void,
  ) {
    this.version = facts.version;
    this.updateTime = facts.updateTime;
    this.expireTime = facts.expireTime;
    this.valueBytes = facts.valueBytes;
    this.#pieces = pieces;
    this.#close = close;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#pieces[Symbol.asyncIterator]();
  }

  async bytes(): Promise<Uint8Array> {
    const whole = new Uint8Array(this.valueBytes);
    let at = 0;
    for await (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  async text(): Promise<string> {
    return textOf(await this.bytes());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
  }
}
