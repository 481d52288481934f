/**
 * The parts `read-only` and `power-loss`: a disk that takes no more writes, or
 * nothing at all, and forgets what was not synced.
 *
 *     read-only, loaded  the file system finds an error and goes read-only (ext4)
 *     read-only, idle    the same under a store that wrote nothing yet; before it
 *                        mount -o remount,ro, which the kernel refuses while files
 *                        are open for writing, and those of a server are
 *     power-loss         all calls fail at once; the caches of the disk are gone
 *
 * What was acknowledged as SYNC is there when the disk is back, and so are all
 * versions below it; BUFFERED writes may be lost, but only from some version on.
 *
 * This counts for what was acknowledged before the disk fails. On Linux 6.18 the one
 * fdatasync that runs while ext4 goes into error can return 0 for bytes that never
 * reach the disk (a program of ten lines shows it four times of twelve): no store can
 * know of that, so what comes in after the failure has begun binds nobody.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { AdminService, ServerState } from "../../../gen/kvix/v1/kvix_pb.js";
import type { Reason } from "../../../src/base/error-catalogue.js";
import type { Life } from "./life.js";
import { sleep } from "./load.js";
import type { LoopDisk } from "./loop-disk.js";

/** What writes may be told by a disk that takes none. */
const writeRefusals: readonly Reason[] = ["SYNC_FAILED", "STORE_READ_ONLY", "WRITE_FAILED"];
const allRefusals: readonly Reason[] = [...writeRefusals, "READ_FAILED"];

const ACKNOWLEDGED_MIN = 40;
const ACKNOWLEDGED_SPAN = 200;
const BROKEN_MS = 400;
const WRITES_TO_LATCH = 20;

/** A disk that goes read-only under a server (ext4). */
export async function readOnlyLife(life: Life, disk: LoopDisk, rounds: number): Promise<void> {
  prepare(life, disk);
  await life.start();
  for (let round = 0; round < rounds; round += 1) {
    if (life.random.chance(0.4)) await failIdle(life, disk);
    else await failLoaded(life, disk);
    await refuseWrites(life);
    await life.end(life.random.pick(["SIGKILL", "SIGTERM"]));
    await disk.unmount();
    await disk.repair();
    await disk.mount();
    await life.start("unsynced");
  }
}

/** A disk that loses power under a server. */
export async function powerLossLife(life: Life, disk: LoopDisk, rounds: number): Promise<void> {
  prepare(life, disk);
  for (let round = 0; round < rounds; round += 1) {
    await life.start(round === 0 ? "process" : "unsynced");
    const load = life.load(life.plan({ mayCompactionFail: true }), allRefusals);
    await life.under(load, enough(life, load), async () => {
      life.oracle.distrustDisk();
      await disk.cutOff();
      await sleep(life.random.below(BROKEN_MS));
      await life.end("SIGKILL");
    });
    life.counts.add("power losses");
    await disk.unmount();
    await disk.mount();
  }
  await life.start("unsynced");
}

function prepare(life: Life, disk: LoopDisk): void {
  const { random } = life;
  life.dataDir = join(disk.path, "data");
  mkdirSync(life.dataDir);
  life.flags = [
    ...["--lift-floors", "--disk-reserve-bytes", "1MiB"],
    ...["--segment-bytes-max", String(random.pick([4096, 32_768, 262_144]))],
    ...["--flush-interval", `${random.pick([5, 100, 1000])}ms`],
    ...["--compaction", "manual", "--watch-retention", "0ms"],
  ];
}

function enough(life: Life, load: { acknowledgedBy(count: number): Promise<void> }) {
  return load.acknowledgedBy(ACKNOWLEDGED_MIN + life.random.below(ACKNOWLEDGED_SPAN));
}

/** A server that wrote nothing yet. */
async function failIdle(life: Life, disk: LoopDisk): Promise<void> {
  const load = life.load(life.plan());
  await life.under(load, enough(life, load), () => life.stop());
  await life.start();
  if (await disk.remountReadOnly()) {
    life.counts.add("remounts read-only");
    return;
  }
  // The lock's file is open for writing for as long as there is a server.
  life.counts.add("remounts that the kernel refused");
  await disk.failItself();
  life.counts.add("disks that failed idle");
}

async function failLoaded(life: Life, disk: LoopDisk): Promise<void> {
  const load = life.load(life.plan({ mayCompactionFail: true }), writeRefusals);
  await life.under(load, enough(life, load), async () => {
    life.oracle.distrustDisk();
    await disk.failItself();
    life.counts.add("disks that failed under load");
    await sleep(life.random.below(BROKEN_MS));
  });
}

/** Writes are refused, with a status that says so; reads go on; the store tells why. */
async function refuseWrites(life: Life): Promise<void> {
  const session = life.session(writeRefusals);
  let last: string | undefined;
  for (let count = 0; count < WRITES_TO_LATCH && last !== "STORE_READ_ONLY"; count += 1) {
    const key = life.random.pick(life.keys);
    const value = Buffer.from(`v4lue/${key}/${life.counts.of("starts")}/refused ${count}`);
    last = await session.write(key, { kind: "set", value });
    assert.notEqual(last, "done", "a write to a read-only disk was acknowledged");
    assert.notEqual(last, "gone", "the server ended");
    // A delete of an absent key writes nothing, so it may be answered.
    assert.equal(await session.read(key), "done");
  }
  for (const key of life.keys) assert.equal(await session.read(key), "done");
  const { state, reasons } = await session.client.call(AdminService.method.getStatus, {});
  if (last === "STORE_READ_ONLY") {
    assert.equal(ServerState[state], ServerState[ServerState.LATCHED]);
    assert.ok(reasons.length > 0, "a latched store says why");
    life.counts.add("servers that latched");
  } else {
    life.counts.add("servers that refused every write and did not latch");
  }
  session.close();
}
