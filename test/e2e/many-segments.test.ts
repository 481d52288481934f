/**
 * A store of very many segments in a process that may have 1,024 descriptors.
 *
 * Making the files is what takes long: there are three times as many as descriptors, in a
 * file system in memory where there is one; KVIX_SEGMENTS says otherwise, up to 65,000.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const program = fileURLToPath(new URL("../support/wide-store-reader.js", import.meta.url));

const DESCRIPTORS_MAX = 1024;
/** The default of openFilesMax. */
const OPEN_FILES_MAX = 512;
/** What Node, the locks, the active segment, and a hint or manifest being written take. */
const OTHERS_MAX = 40;
/** More reads off the event loop at once than files may be open. */
const LARGE_RECORDS = 700;
const MEMORY_DISK = "/dev/shm";
const MEMORY_DISK_BYTES_MIN = 256 * 1024 * 1024;

function hasMemoryDisk(): boolean {
  if (!existsSync(MEMORY_DISK)) return false;
  const { bavail, bsize } = statfsSync(MEMORY_DISK);
  return bavail * bsize >= MEMORY_DISK_BYTES_MIN;
}

const parent = hasMemoryDisk() ? MEMORY_DISK : tmpdir();
const segments = Number(process.env["KVIX_SEGMENTS"] ?? 3 * DESCRIPTORS_MAX);

test(`M11 I3 V11: ${segments} segments work under a limit of ${DESCRIPTORS_MAX} descriptors, and none is kept`, async (t) => {
  const dataDir = mkdtempSync(join(parent, "kvix-segments-"));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const script = `ulimit -n ${DESCRIPTORS_MAX} && exec "$@"`;
  const counts = [String(segments), String(LARGE_RECORDS)];
  const command = ["-c", script, "bash", process.execPath, program, dataDir, ...counts];
  const { stdout } = await promisify(execFile)("bash", command);
  const seen = JSON.parse(stdout) as Readonly<Record<string, number>>;
  const { mostDescriptors = Number.NaN, ...rest } = seen;
  assert.deepEqual(rest, {
    right: segments,
    segmentsFromHints: segments,
    segments: segments + 5,
    openFiles: OPEN_FILES_MAX,
    leaked: 0,
    reasons: [],
  });
  assert.ok(mostDescriptors >= OPEN_FILES_MAX, `${mostDescriptors} were counted`);
  assert.ok(mostDescriptors <= OPEN_FILES_MAX + OTHERS_MAX, `${mostDescriptors} were in use`);
});
