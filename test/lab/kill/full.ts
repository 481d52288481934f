/**
 * The parts `full-ext4` and `full-xfs`: a disk that fills, and is given room again.
 *
 *     writes -> NO_SPACE -> reads and deletes go on -> somebody else takes the rest
 *            -> kill -9, restart there -> all is there -> deletes, compaction
 *            -> writes are taken again, without a restart
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  AdminService,
  CompactionOutcome,
  CompactionPhase,
  ServerState,
} from "../../../gen/kvix/v1/kvix_pb.js";
import { errorCode } from "../../../src/host/file-system.js";
import type { Life } from "./life.js";
import { type Mix, sleep } from "./load.js";
import { diskMebibytes, type LoopDisk, mebibytes } from "./loop-disk.js";
import type { Session } from "./session.js";

const fillingMix: Mix = { sets: 88, deletes: 2, touches: 4, lists: 0, syncs: 0 };
const fullMix: Mix = { sets: 40, deletes: 4, touches: 6, lists: 1, syncs: 1 };
const REFUSALS_WANTED = 10;
/** More than a disk can hold of them, however much is compacted meanwhile. */
const FILLING_WRITES_MAX = 4000;
const LOOK_MS = 50;
/** So little that what the keys hold at once fills it, whatever is compacted. */
const ROOM_MEBIBYTES_MIN = 6;
const ROOM_MEBIBYTES_SPAN = 4;
/** Deletes that a full disk must take before its store may be out of room for them. */
const DELETES_AT_FULL = 20;
const TRIES_MAX = 60;
const TRY_MS = 100;

/** One disk that fills, is found full by another server, and recovers. */
export async function fullLife(life: Life, disk: LoopDisk): Promise<void> {
  const { random, counts } = life;
  life.dataDir = join(disk.path, "data");
  mkdirSync(life.dataDir);
  life.flags = [
    ...["--lift-floors", "--segment-bytes-max", `${random.pick([256, 1024, 2048])}KiB`],
    ...["--disk-reserve-bytes", `${random.pick([1, 2])}MiB`],
    ...["--watch-retention", random.pick(["0ms", "10m"])],
    ...["--compaction", random.pick(["manual", "scheduled"])],
  ];
  leaveRoom(disk, mebibytes(ROOM_MEBIBYTES_MIN + random.below(ROOM_MEBIBYTES_SPAN)));
  await life.start();
  await fill(life);
  const session = life.session(["NO_SPACE"]);
  // A compaction of its own may have given room back since it said that it is full.
  if (!life.flags.includes("scheduled")) {
    await assertFull(life, session);
  }
  for (const key of life.keys) assert.equal(await session.read(key), "done");
  const strangers = join(disk.path, "strangers");
  if (random.chance(0.6)) {
    takeTheRest(strangers);
    counts.add("disks filled to the last block");
  }
  await workAtFull(life, session);
  session.close();
  if (random.chance(0.8)) await life.kill();
  else await life.stop();
  counts.add("restarts on a full disk");
  await life.start();
  const again = life.session(["NO_SPACE"]);
  rmSync(strangers, { force: true });
  await giveRoomBack(life, again);
  again.close();
  await life.kill();
  await life.start();
}

/** Fills the disk with something else, but for `bytes`. */
function leaveRoom(disk: LoopDisk, bytes: number): void {
  const ballast = Math.max(0, disk.freeBytes - bytes);
  const path = join(disk.path, "ballast");
  const { status, stderr } = spawnSync("fallocate", ["--length", String(ballast), path], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
}

/** Writes until the store says that it is full, and writes were refused for it. */
async function fill(life: Life): Promise<void> {
  const load = life.load(
    life.plan({
      mix: fillingMix,
      valueBytesMax: 60_000,
      largeValueBytes: 300_000,
      compacter: "nobody",
    }),
    ["NO_SPACE"],
  );
  const watcher = life.session();
  let isFull = false;
  const whenFull = async () => {
    while (!isFull) {
      await sleep(LOOK_MS);
      const { state } = await watcher.client.call(AdminService.method.getStatus, {});
      const refusals = life.counts.of("NO_SPACE refusals");
      isFull ||= state === ServerState.FULL && refusals >= REFUSALS_WANTED;
    }
  };
  const enough = Promise.race([whenFull(), load.acknowledgedBy(FILLING_WRITES_MAX)]);
  // On a busy machine this takes as long as it takes.
  await life.under(load, enough, async () => undefined, Number.POSITIVE_INFINITY);
  const wasFull = isFull;
  isFull = true;
  watcher.close();
  assert.ok(wasFull, "the disk did not fill, or nobody was told");
  life.counts.add("disks filled");
}

/** Sets are refused, reads and deletes are not. */
async function workAtFull(life: Life, session: Session): Promise<void> {
  const { random, counts } = life;
  const plan = life.plan({ mix: fullMix, valueBytesMax: 4000, compacter: "nobody" });
  const load = life.load(plan, ["NO_SPACE"]);
  await life.under(load, sleep(300), async () => undefined);
  for (let count = 0; count < DELETES_AT_FULL; count += 1) {
    const isSync = random.chance(0.5);
    const result = await session.write(random.pick(life.keys), { kind: "delete" }, { isSync });
    assert.equal(result, "done", "a full disk takes no delete");
    counts.add("deletes at a full disk");
  }
}

/** Deletes and compactions make room for writes, without a restart. */
async function giveRoomBack(life: Life, session: Session): Promise<void> {
  const { random, counts } = life;
  for (const key of life.keys) {
    if (random.chance(0.7)) {
      const result = await session.write(key, { kind: "delete" });
      assert.equal(result, "done", "a full disk takes no delete after a restart");
    }
  }
  for (let time = 0; time < TRIES_MAX; time += 1) {
    if (!life.flags.includes("scheduled")) await compact(life, session);
    const value = Buffer.alloc(2000, `${time}/${life.counts.of("starts")}/`);
    const result = await session.write(random.pick(life.keys), { kind: "set", value });
    if (result === "done") {
      await assertState(session, ServerState.SERVING, "a store that has room again says so");
      counts.add("disks that recovered");
      return;
    }
    await sleep(TRY_MS);
  }
  assert.fail("deletes and compaction gave no room back");
}

async function compact(life: Life, session: Session): Promise<void> {
  for await (const { progress } of session.client.stream(AdminService.method.compact, {})) {
    if (progress?.phase !== CompactionPhase.DONE) continue;
    assert.notEqual(progress.outcome, CompactionOutcome.FAILED, progress.why);
    life.counts.add("segments compacted", progress.segmentsDone);
  }
}

/** Or that it serves again, where it then takes a write: a delete may lower the watermark. */
async function assertFull(life: Life, session: Session): Promise<void> {
  const why = "a store that refuses for want of space says so";
  const { state } = await session.client.call(AdminService.method.getStatus, {});
  if (state !== ServerState.SERVING) return await assertState(session, ServerState.FULL, why);
  const value = Buffer.from(`full/${life.counts.of("starts")}/`);
  assert.equal(
    await session.write(life.random.pick(life.keys), { kind: "set", value }),
    "done",
    why,
  );
}

async function assertState(session: Session, wanted: ServerState, why: string): Promise<void> {
  const { state, reasons } = await session.client.call(AdminService.method.getStatus, {});
  const said = reasons.map(({ message }) => message).join("; ");
  assert.equal(ServerState[state], ServerState[wanted], `${why} (${said})`);
}

/** Another program takes what is left, block by block. */
function takeTheRest(path: string): void {
  const file = openSync(path, "w");
  try {
    for (const bytes of [65_536, 4096, 512]) {
      const zeros = Buffer.alloc(bytes);
      try {
        for (let count = 0; count < mebibytes(diskMebibytes) / bytes; count += 1) {
          writeSync(file, zeros);
        }
      } catch (error) {
        if (errorCode(error) !== "ENOSPC") throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}
