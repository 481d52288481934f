/** What benches of uploads have in common: a server, and one piece of memory, sent again and again. */
import { crc32 } from "node:zlib";
import type { Client } from "@grpc/grpc-js";
import { ServerProcess } from "../test/support/server-process.js";
import { UploadCall } from "../test/support/upload-call.js";

const chunkBytes = 256 * 1024;
const chunk = Buffer.alloc(chunkBytes, "bytes of an upload that a bench has made. ");

/** A machine that others use, too, may take its time. */
const startMsMax = 120_000;

/** Starts a server, which may take long. */
export async function startBusy(dataDir: string, ...flags: string[]): Promise<ServerProcess> {
  const server = ServerProcess.launch(dataDir, flags, { startMsMax });
  await server.serving;
  return server;
}

/** The checksum of so many chunks. */
function checksumOf(chunks: number): number {
  let checksum = 0;
  for (let count = 0; count < chunks; count += 1) checksum = crc32(chunk, checksum);
  return checksum;
}

/** Uploads `valueBytes`, a multiple of 256 KiB, under `key`. */
export async function uploadChunks(
  client: Client,
  key: Uint8Array,
  valueBytes: number,
): Promise<void> {
  const chunks = valueBytes / chunkBytes;
  const call = new UploadCall(client);
  void call.header({ key, valueBytes: BigInt(valueBytes) });
  for (let count = 0; count < chunks; count += 1) await call.chunk(chunk);
  void call.part({ case: "end", value: { crc32: checksumOf(chunks) } });
  call.close();
  const { applied } = await call.answer;
  if (!applied) throw new Error("an upload was not applied");
}
