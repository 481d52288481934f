/**
 * Upload and Download of KvService: values in pieces, so that neither end needs a
 * message, or the memory, for all of one.
 *
 *     Upload     header, chunk ..., end  ->  answer; or, the condition unmet, the answer
 *                                            after the header
 *     Download   key  ->  header, chunk ..., end; or, the key absent, the header alone
 */

import { create, toBinary } from "@bufbuild/protobuf";
import {
  DownloadResponseSchema,
  type KvService,
  type UploadHeader,
  type UploadRequest,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { Download, Store, UploadStart } from "../engine/store.js";
import { AnswerWriter } from "../rpc/answer-writer.js";
import type { CallContext, HandlersOf } from "../rpc/calls.js";
import { encodeUploadAnswer, STORE_VERSION } from "./kv-answers.js";
import type { KvServiceContext } from "./kv-context.js";
import {
  fieldInvalid,
  requireExpiry,
  requireKey,
  requireValueBytes,
  requireWriteOptions,
} from "./validation.js";

/** The handlers of the rpcs that carry values in pieces. */
export function transferHandlers(
  context: KvServiceContext,
): Pick<HandlersOf<typeof KvService>, "upload" | "download"> {
  const { store, messageBytesMax } = context;
  const limits = { messageBytesMax, carries: () => true };
  return {
    upload: async (requests, call) => {
      const parts = partsOf(requests);
      const start = await begin(context, await parts.header(), call);
      if (start.kind === "unmet") return encodeUploadAnswer(start.result, store.version, limits);
      const { upload } = start;
      try {
        const checksum = await parts.rest((chunk) => upload.write(chunk));
        const result = await upload.finish(checksum);
        return encodeUploadAnswer(result, store.version, limits);
      } catch (error) {
        await upload.abort();
        throw error;
      }
    },

    download: async function* (request, { signal }) {
      const download = await store.download(requireKey(request.key), { signal });
      try {
        yield encodeHeader(download, store.version);
        if (download === undefined) return;
        for await (const chunk of download.chunks) yield encodeChunk(chunk);
        const part = { case: "end", value: { crc32: download.checksum } } as const;
        yield toBinary(DownloadResponseSchema, create(DownloadResponseSchema, { part }));
      } finally {
        download?.close();
      }
    },
  };
}

async function begin(
  { store, clock }: KvServiceContext,
  header: UploadHeader,
  { signal }: CallContext,
): Promise<UploadStart> {
  const key = requireKey(header.key);
  const valueBytes = requireValueBytes(header.valueBytes);
  const expiry = requireExpiry(header.expiry, clock.wallMs());
  const { condition, durability } = requireWriteOptions(header);
  return await store.upload(key, valueBytes, expiry, { condition, durability, signal });
}

/** The parts of an upload, each where it belongs. */
function partsOf(requests: AsyncIterator<UploadRequest, undefined>) {
  const nextPart = async (): Promise<UploadRequest["part"] | undefined> => {
    const { done, value } = await requests.next();
    return done === true ? undefined : value.part;
  };
  return {
    header: async (): Promise<UploadHeader> => {
      const part = await nextPart();
      if (part?.case === "header") return part.value;
      throw fieldInvalid("part", "header, in the first request");
    },
    /** Gives every chunk to `take`, and answers the checksum at the end. */
    rest: async (take: (chunk: Uint8Array) => Promise<void>): Promise<number> => {
      for (;;) {
        const part = await nextPart();
        if (part?.case === "chunk") {
          if (part.value.length === 0) throw fieldInvalid("chunk", "1 byte or more");
          await take(part.value);
        } else if (part?.case === "end") {
          if ((await nextPart()) === undefined) return part.value.crc32;
          throw fieldInvalid("part", "end, in the last request only");
        } else {
          throw fieldInvalid("part", "chunk, or end in the last request");
        }
      }
    },
  };
}

/** DownloadResponse with a header. */
function encodeHeader(download: Download | undefined, storeVersion: Store["version"]): Uint8Array {
  const header = new AnswerWriter(download?.bare.length ?? 0);
  if (download !== undefined) {
    header.message(1, [download.bare]);
    header.uint(2, download.valueBytes);
  }
  header.uint(STORE_VERSION, storeVersion);
  const bytes = header.finish();
  const writer = new AnswerWriter(bytes.length);
  writer.message(1, [bytes]);
  return writer.finish();
}

/** DownloadResponse with a chunk. */
function encodeChunk(chunk: Uint8Array): Uint8Array {
  const writer = new AnswerWriter(chunk.length);
  writer.message(2, [chunk]);
  return writer.finish();
}
