/** Uploads and downloads over the wire. */
import { type DownloadResponse, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { crc32 } from "../format/checksum.js";
import { dateOf } from "../kv/data.js";
import {
  type Download,
  type KnownSource,
  PiecewiseDownload,
  piecesOf,
  sourceOf,
  UPLOAD_CHUNK_BYTES,
  type UploadOptions,
  type UploadResult,
  type UploadSource,
} from "../kv/transfers.js";
import { expiryOf } from "../kv/writes.js";
import { msOf, recordOf } from "./answers.js";
import type { ClientCallOptions, Connection } from "./connection.js";
import { durabilityField, invalid, preconditionField, setExpiryField } from "./requests.js";

/** Uploads a value. One that is all at hand is tried again as a set is; of pieces there is one try. */
export async function upload(
  connection: Connection,
  key: Uint8Array,
  source: UploadSource,
  options: UploadOptions & ClientCallOptions,
): Promise<UploadResult> {
  const known = sourceOf(source, options.valueBytes);
  const valueBytes = known.kind === "whole" ? known.bytes.length : known.valueBytes;
  if (!Number.isSafeInteger(valueBytes) || valueBytes < 0) throw invalid("valueBytes", "0 or more");
  const precondition = preconditionField(options);
  const header = {
    key,
    valueBytes: BigInt(valueBytes),
    expiry: setExpiryField(expiryOf(options)),
    ...(precondition !== undefined && { precondition }),
    durability: durabilityField(options.durability),
  };
  const pieces = new Pieces(known);
  const answer = await connection
    .attempt(
      "write",
      { ...options, attemptsMax: known.kind === "whole" ? undefined : 1 },
      async (deadlineMs) => {
        const call = connection.wire.intake(KvService.method.upload, deadlineMs);
        const cancel = (): void => call.cancel();
        const ended = connection.endOf(options.signal);
        ended.addEventListener("abort", cancel);
        try {
          await call.send({ part: { case: "header", value: header } });
          const checksum = await sendPieces(call, pieces);
          if (!call.isAnswered) {
            await call.send({ part: { case: "end", value: { crc32: checksum } } });
            call.end();
          }
          return await call.answer;
        } catch (error) {
          call.cancel();
          throw error;
        } finally {
          ended.removeEventListener("abort", cancel);
        }
      },
    )
    .catch((error: unknown) => {
      throw pieces.failure === undefined ? error : pieces.failure.error;
    });
  connection.sawVersion(answer.storeVersion);
  return {
    applied: answer.applied,
    version: Number(answer.version),
    expireTime: dateOf(msOf(answer.expireTime)),
    current: recordOf(answer.current, answer.valueOmitted),
  };
}

interface Sink {
  readonly isAnswered: boolean;
  send(request: { part: { case: "chunk"; value: Uint8Array } }): Promise<void>;
}

/** The pieces of a value, and what their source failed with: that is the caller's own error. */
class Pieces {
  readonly #source: KnownSource;
  failure: { readonly error: unknown } | undefined;

  constructor(source: KnownSource) {
    this.#source = source;
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    const source = this.#source;
    try {
      yield* source.kind === "whole" ? piecesOf(source.bytes) : source.pieces;
    } catch (error) {
      this.failure = { error };
      throw new KvixError("CANCELLED", "the source of the value failed");
    }
  }
}

/** Sends the value, as long as anybody wants it; its checksum. */
async function sendPieces(sink: Sink, pieces: Pieces): Promise<number> {
  let checksum = 0;
  for await (const given of pieces.read()) {
    for (let at = 0; at < given.length; at += UPLOAD_CHUNK_BYTES) {
      if (sink.isAnswered) return checksum;
      const value = given.subarray(at, at + UPLOAD_CHUNK_BYTES);
      checksum = crc32(value, checksum);
      await sink.send({ part: { case: "chunk", value } });
    }
  }
  return checksum;
}

/** Downloads a value. */
export async function download(
  connection: Connection,
  key: Uint8Array,
  options: ClientCallOptions,
): Promise<Download | undefined> {
  const { parts, header } = await connection.attempt("read", options, async () => {
    const answers = connection.stream(KvService.method.download, { key }, options.signal);
    const first = await answers.next();
    const part = first.done === true ? undefined : first.value.part;
    if (part?.case !== "header") throw new KvixError("NOT_UNDERSTOOD", "", { outcome: "none" });
    return { parts: answers, header: part.value };
  });
  connection.sawVersion(header.storeVersion);
  const { record } = header;
  if (record === undefined) {
    await parts.return(undefined);
    return undefined;
  }
  const valueBytes = Number(header.valueBytes);
  const facts = {
    version: Number(record.version),
    updateTime: new Date(msOf(record.updateTime)),
    expireTime: dateOf(msOf(record.expireTime)),
    valueBytes,
  };
  const close = (): void => void parts.return(undefined);
  return new PiecewiseDownload(facts, chunksOf(parts, valueBytes), close);
}

/** The pieces of a value, which is sound if they come to their end. */
async function* chunksOf(
  parts: AsyncGenerator<DownloadResponse, void, undefined>,
  valueBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let checksum = 0;
  let bytes = 0;
  for await (const { part } of parts) {
    if (part.case === "chunk") {
      bytes += part.value.length;
      checksum = crc32(part.value, checksum);
      yield part.value;
    } else if (part.case === "end") {
      if (bytes === valueBytes && checksum === part.value.crc32) return;
      break;
    }
  }
  throw new KvixError("NOT_UNDERSTOOD", "the value is not what its end says", { outcome: "none" });
}
