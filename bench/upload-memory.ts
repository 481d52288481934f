/**
 * upload-memory: the most memory that a server has resident while 100 values of 100 MiB
 * are uploaded at once, on two connections. Server and client are two processes.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uploadClient } from "../test/support/upload-call.js";
import type { BenchResult } from "./bench-result.js";
import { sizeFrom } from "./index-keys.js";
import { startBusy, uploadChunks } from "./upload-load.js";

const MiB = 1_048_576;
const connections = 2;

/** KVIX_BENCH_UPLOADS uploads of KVIX_BENCH_VALUE_MIB each; they take twice that of the disk. */
export async function run(): Promise<BenchResult> {
  const uploads = sizeFrom("KVIX_BENCH_UPLOADS", 100);
  const valueBytes = sizeFrom("KVIX_BENCH_VALUE_MIB", 100) * MiB;
  const dataDir = mkdtempSync(join(tmpdir(), "kvix-memory-"));
  const server = await startBusy(dataDir);
  const clients = Array.from({ length: connections }, () => uploadClient(server.address));
  try {
    const idleMiB = peakResidentBytes(server.pid) / MiB;
    const startMs = performance.now();
    await Promise.all(
      Array.from({ length: uploads }, (_, number) => {
        const client = clients[number % connections];
        if (client === undefined) throw new Error("there is no client");
        return uploadChunks(client, Buffer.from(`upload ${number}`), valueBytes);
      }),
    );
    const seconds = (performance.now() - startMs) / 1000;
    const peak = Math.round(peakResidentBytes(server.pid) / MiB);
    return {
      name: "upload-memory",
      ours: peak,
      theirs: null,
      ratio: peak,
      spread: [peak, peak],
      unit: "MiB resident at most",
      detail: {
        uploads,
        valueBytes,
        connections,
        idleMiB: Math.round(idleMiB),
        seconds: Math.round(seconds),
        mebibytesPerSecond: Math.round((uploads * valueBytes) / MiB / seconds),
      },
    };
  } finally {
    for (const client of clients) client.close();
    await server.end("SIGTERM");
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** The high-water mark of a process's resident memory, which Linux keeps. */
function peakResidentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
  if (kibibytes === undefined) throw new Error("this system does not tell of resident memory");
  return Number(kibibytes) * 1024;
}
