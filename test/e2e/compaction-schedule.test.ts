/** The schedule for real: a server that compacts by itself, and gives the disk back. */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { AdminService, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { runKvix, ServerProcess } from "../support/server-process.js";
import { makeDataDir } from "./data-dir.js";

const KiB = 1024;
const floorsLifted = ["--lift-floors", "--segment-bytes-max", "64KiB", "--watch-retention", "0ms"];
const keys = 40;
const value = Buffer.alloc(KiB, 7);

const { set, get, delete: remove } = KvService.method;

function bytesOnDisk(dataDir: string): number {
  const folder = join(dataDir, "segments");
  const names = readdirSync(folder).filter((name) => /\.(seg|hint)$/.test(name));
  // The server removes files meanwhile.
  const sizes = names.map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size);
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

async function overwrite(client: RpcClient, times: number): Promise<void> {
  for (let turn = 0; turn < times; turn += 1) {
    await Promise.all(
      Array.from({ length: keys }, (_, key) => {
        return client.call(set, { key: Buffer.from(`key-${key}`), value });
      }),
    );
  }
}

/** Asks until it holds; the schedule has its own time. */
async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let turn = 0; turn < 300; turn += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${what} did not come about in 30 s`);
}

test("M6 M14: dead bytes begin a compaction by themselves, the disk comes back, and every key is there", async (t) => {
  const dataDir = makeDataDir(t);
  // The quiet time after a start is at most a tenth of the interval.
  const schedule = ["--compaction-interval", "2s"];
  const server = await ServerProcess.start(dataDir, ...floorsLifted, ...schedule);
  t.after(() => server.end("SIGKILL"));
  const client = new RpcClient(server.address);
  t.after(() => client.close());
  await overwrite(client, 20);
  await until(async () => bytesOnDisk(dataDir) < 4 * keys * KiB, "a small directory");
  // A file is gone a moment before the manifest says so, and only then it counts.
  await until(async () => {
    const { compaction } = await client.call(AdminService.method.stats, {});
    return (compaction?.segmentsRemoved ?? 0) > 0;
  }, "a segment that counts as removed");
  for (let key = 0; key < keys; key += 1) {
    const { record } = await client.call(get, { key: Buffer.from(`key-${key}`) });
    assert.equal(record?.value.length, KiB);
  }
  assert.ok(
    server.log.some(({ msg }) => /compaction/.test(String(msg))),
    "the log tells of it",
  );
  for (let key = 0; key < keys; key += 1) {
    await client.call(remove, { key: Buffer.from(`key-${key}`) });
  }
  await overwrite(client, 1);
  for (let key = 0; key < keys; key += 1) {
    await client.call(remove, { key: Buffer.from(`key-${key}`) });
  }
  await until(async () => bytesOnDisk(dataDir) < 80 * KiB, "a directory that is all but empty");
  await server.end("SIGKILL");
  const next = await ServerProcess.start(dataDir, ...floorsLifted, "--compaction", "manual");
  t.after(() => next.end("SIGKILL"));
  const again = new RpcClient(next.address);
  t.after(() => again.close());
  const { keys: left } = await again.call(AdminService.method.stats, {});
  assert.equal(left, 0n);
});

test("kvix compact compacts a store that nothing else compacts", async (t) => {
  const dataDir = makeDataDir(t);
  const server = await ServerProcess.start(dataDir, ...floorsLifted, "--compaction", "manual");
  t.after(() => server.end("SIGKILL"));
  const client = new RpcClient(server.address);
  t.after(() => client.close());
  await overwrite(client, 10);
  const before = bytesOnDisk(dataDir);
  const { code, stdout, stderr } = await runKvix("compact", "--endpoint", server.address);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^compacted \d+ segments?: .* freed\n$/);
  assert.ok(bytesOnDisk(dataDir) < before / 2);
  const verified = await server.end("SIGTERM");
  assert.equal(verified.code, 0);
  const check = await runKvix("verify", dataDir);
  assert.equal(check.code, 0, check.stdout + check.stderr);
});
