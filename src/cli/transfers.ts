/**
 * Values that are too large for a message, in pieces: `set` uploads them and `get`
 * downloads them, without being told to.
 *
 *     up      header, pieces, end with the checksum; the answer may come before all is sent
 *     down    header, pieces, end with the checksum
 *
 * A download is given away whole, when its end has come and all of it is sound: before
 * that nothing of it is to be trusted, and a pipe cannot take back what it was given. So
 * it takes the memory of one value, at most 100 MiB.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DownloadHeader,
  KvService,
  type Record as StoreRecord,
  type UploadHeaderSchema,
  type UploadResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../base/limits.js";
import { crc32 } from "../format/checksum.js";
import type { Intake, Stream } from "./client-session.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";

/** The smallest message that a server may be told to take at most, in bytes. */
const MESSAGE_BYTES_MIN = 2 ** 20;
/** What lies around key and value in a message, at most. */
const FIELDS_BYTES_MAX = 1024;
/** The largest value that fits any server's messages, whatever its key. */
export const MESSAGE_VALUE_BYTES = MESSAGE_BYTES_MIN - KEY_BYTES_MAX - FIELDS_BYTES_MAX;
/** What is sent at a time. */
const PIECE_BYTES = 262_144;

/** What an upload begins with, but for the length. */
export type UploadInit = Omit<
  MessageInitShape<typeof UploadHeaderSchema>,
  "valueBytes" | "$typeName"
>;

/** Uploads a value. */
export async function upload(
  intake: Intake,
  header: UploadInit,
  value: Uint8Array,
): Promise<UploadResponse> {
  return await intake(KvService.method.upload, async (call) => {
    const valueBytes = BigInt(value.length);
    await call.send({ part: { case: "header", value: { ...header, valueBytes } } });
    for (let at = 0; at < value.length && !call.isAnswered; at += PIECE_BYTES) {
      const piece = value.subarray(at, at + PIECE_BYTES);
      await call.send({ part: { case: "chunk", value: piece } });
    }
    if (!call.isAnswered)
      await call.sendLast({ part: { case: "end", value: { crc32: crc32(value) } } });
  });
}

/** A record that was downloaded; `record` undefined: the key is absent or expired. */
export interface Downloaded {
  readonly record: StoreRecord | undefined;
  readonly storeVersion: bigint;
}

/** Downloads a record, value and all. */
export async function download(stream: Stream, key: Uint8Array): Promise<Downloaded> {
  let header: DownloadHeader | undefined;
  let value = new Uint8Array(0);
  let bytes = 0;
  let isSound = false;
  for await (const { part } of stream(KvService.method.download, { key })) {
    if (part.case === "header" && header === undefined) {
      header = part.value;
      const { valueBytes } = header;
      if (valueBytes > BigInt(VALUE_BYTES_MAX)) throw broken("it announces too much");
      value = new Uint8Array(Number(valueBytes));
    } else if (part.case === "chunk") {
      if (bytes + part.value.length > value.length) throw broken("there is more than announced");
      value.set(part.value, bytes);
      bytes += part.value.length;
    } else if (part.case === "end") {
      isSound = bytes === value.length && crc32(value) === part.value.crc32;
    }
  }
  if (header === undefined) throw broken("nothing came");
  const { record, storeVersion } = header;
  if (record === undefined) return { record, storeVersion };
  if (!isSound) throw broken("what came is not what its end says");
  return { record: { ...record, value }, storeVersion };
}

function broken(why: string): CommandEnd {
  return new CommandEnd(ExitCode.UNAVAILABLE, `the download broke: ${why}. Try again.`);
}
