/**
 * What a repeat is answered with: the head of the first request's BATCH frame.
 * The frame is read whole, for its checksum covers all of it, in pieces of which
 * only the head is kept: a repeat of a commit of 128 MiB takes no more memory than
 * one of a few bytes. One frame is read at a time.
 */
import { KvixError } from "../../base/kvix-error.js";
import { parseBatch } from "../../format/batch.js";
import { decodeBatchResult, type MemberResult } from "../../format/batch-result.js";
import { crc32 } from "../../format/checksum.js";
import { FRAME_HEADER_BYTES, FrameFlag, readFrameHeader } from "../../format/frame.js";
import type { DamageRegister } from "../damage.js";
import type { RequestIdentity, RequestPlace } from "./request-memory.js";

const PIECE_BYTES = 1024 * 1024;
/** The checksum lies in front of what it covers. */
const CHECKSUM_BYTES = 4;

/** Reads the answers of first requests. */
export class RepeatReader {
  readonly #damage: DamageRegister;
  #last: Promise<unknown> = Promise.resolve();

  constructor(damage: DamageRegister) {
    this.#damage = damage;
  }

  /**
   * What the first request at `place` was answered with. Throws REQUEST_ID_REUSED
   * if that was another than `identity`; PREVIOUS_CORRUPT if its frame is damaged:
   * it was applied, and nobody knows any more what it was told; READ_FAILED.
   * The caller keeps the place by a ticket.
   */
  read(place: RequestPlace, identity: RequestIdentity): Promise<readonly MemberResult[]> {
    const read = this.#last.then(() => this.#read(place, identity));
    this.#last = read.catch(() => undefined);
    return read;
  }

  async #read(place: RequestPlace, identity: RequestIdentity): Promise<readonly MemberResult[]> {
    const head = await this.#verifiedHead(place);
    const view = head && new DataView(head.buffer, head.byteOffset, head.byteLength);
    const header = view && readFrameHeader(view, 0);
    const isBatch = header !== undefined && (header.flags & FrameFlag.BATCH) !== 0;
    const batch = isBatch
      ? parseBatch(head as Uint8Array, FRAME_HEADER_BYTES, place.length)
      : undefined;
    const isFirst = batch !== undefined && Buffer.compare(batch.requestId, identity.id) === 0;
    const results = isFirst ? decodeBatchResult(batch.result) : undefined;
    if (batch === undefined || results === undefined) throw this.#corrupt(place);
    if (Buffer.compare(batch.requestHash, identity.digest) === 0) return results;
    throw new KvixError("REQUEST_ID_REUSED", "", { metadata: { field: "request_id" } });
  }

  /** The first bytes of a frame whose checksum is right, its head among them; undefined: it is not. */
  async #verifiedHead({ segment, offset, length }: RequestPlace): Promise<Uint8Array | undefined> {
    const { file, name } = segment;
    if (file === undefined) return undefined;
    const head = Buffer.allocUnsafeSlow(Math.min(length, PIECE_BYTES));
    const piece = length > PIECE_BYTES ? Buffer.allocUnsafeSlow(PIECE_BYTES) : head;
    let checksum = name.salt;
    for (let at = 0; at < length; at += PIECE_BYTES) {
      const part = (at === 0 ? head : piece).subarray(0, Math.min(PIECE_BYTES, length - at));
      let read: number;
      try {
        read = await file.read(part, offset + at);
      } catch (cause) {
        throw new KvixError("READ_FAILED", `${name.fileName} at ${offset + at}`, {
          cause,
          // Another request may bear the id: this one need not have been applied.
          outcome: "unknown",
          metadata: { file: name.fileName, offset: offset + at },
        });
      }
      if (read < part.length) return undefined;
      checksum = crc32(at === 0 ? part.subarray(CHECKSUM_BYTES) : part, checksum);
    }
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const isSound =
      view.getUint32(0, true) === checksum &&
      readFrameHeader(view, 0).payloadBytes === length - FRAME_HEADER_BYTES;
    return isSound ? head : undefined;
  }

  #corrupt({ segment, offset, length, version }: RequestPlace): KvixError {
    const file = segment.name.fileName;
    const end = offset + length;
    const isKnown = this.#damage.of(segment.name).some((known) => {
      return known.offset < end && offset < known.offset + known.length;
    });
    if (!isKnown) {
      this.#damage.add({
        segment: segment.name,
        offset,
        length,
        firstVersion: segment.lowestVersion,
        // Of a request that an opening found it is not known: 0.
        lastVersion: version > 0 ? version : segment.highestVersion,
        // The index has its members; reads of them tell which are damaged.
        keysUnknown: false,
      });
    }
    const metadata = { file, offset, length };
    return new KvixError("PREVIOUS_CORRUPT", `${file} at ${offset}, ${length} bytes`, { metadata });
  }
}
