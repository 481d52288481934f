/** What goes on beside the clients of a life: compactions, and a clock and a disk that misbehave. */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import { openStore } from "../../../src/engine/open-store.js";
import type { Life } from "./life.js";
import { spoilHint } from "./losses.js";
import { linger } from "./readers.js";
import { SweepWatch } from "./sweep-watch.js";

const dayMs = 86_400_000;
const jumpsMs = [-40 * dayMs, -3_600_000, -5000, -100, 100, 5000, 3_600_000, 40 * dayMs] as const;

/** Goes on as long as clients are at work; resolves when all of it is over. */
export async function disturb(life: Life): Promise<void> {
  const { plan } = life;
  const all = [compactNowAndThen(life)];
  if (plan.clockIsWrong) all.push(moveClock(life));
  if (plan.roomBytes !== undefined) all.push(fillDisk(life, plan.roomBytes));
  for (let count = 0; count < plan.lingerers; count += 1) all.push(linger(life));
  if (plan.isOpenedTwice && !plan.closesEarly) all.push(openTwice(life));
  await Promise.all(all);
}

/** Somebody else opens the store, or has its segment directory for his own: he is refused (V4, P1). */
async function openTwice(life: Life): Promise<void> {
  const { random, host } = life.world;
  for (let left = random.below(200); left > 0; left -= 1) await life.world.turn();
  await life.unlessDead();
  if (!life.isBusy) return;
  const directories = random.chance(0.5) ? {} : { dataDir: "/another" };
  const error = await openStore({ ...life.options, ...directories }, host).catch(
    (why: unknown) => why,
  );
  await life.unlessDead();
  assert.ok(error instanceof KvixError, "V4: what is open is opened a second time");
  const isRight = error.reason === "STORE_LOCKED" || life.hasFailed;
  assert.ok(isRight, `V4: what is open is opened a second time, as far as ${error.message}`);
}

async function compactNowAndThen(life: Life): Promise<void> {
  const { random } = life.world;
  while (life.isBusy) {
    for (let left = random.below(12); left > 0; left -= 1) await life.pause();
    await life.unlessDead();
    if (life.isBusy) await compactOnce(life);
  }
}

/** One compaction, which is given up half way now and then. */
export async function compactOnce(life: Life): Promise<void> {
  const { store, world, counts } = life;
  const { random } = world;
  if (random.chance(0.5)) await store.hintsWritten();
  await life.unlessDead();
  if (life.spoilsHints && random.chance(0.3)) spoilHint(world, life.segmentDir);
  const stop = new AbortController();
  // Whoever waits for slow readers gives up.
  const isGivenUp = random.chance(life.plan.lingerers > 0 ? 0.7 : 0.2);
  if (isGivenUp) void giveUp(life, stop, random.below(100));
  const before = store.stats().compaction.segmentsRemoved;
  try {
    for await (const { outcome, why } of store.compact({ signal: stop.signal })) {
      await life.unlessDead();
      world.getsOn();
      if (outcome === "completed") counts.compactions += 1;
      const mayFail = life.hasFailed || life.isShortOfRoom || life.hasRot;
      if (outcome === "failed" && !mayFail) assert.fail(`a compaction failed: ${why}`);
    }
  } catch (error) {
    await life.unlessDead();
    life.requireForeseen(error, false, "compaction");
  }
  await life.unlessDead();
  counts.segmentsRemoved += store.stats().compaction.segmentsRemoved - before;
}

async function giveUp(life: Life, stop: AbortController, turns: number): Promise<void> {
  life.hasGivenUp = true;
  for (let left = turns; left > 0; left -= 1) await life.world.turn();
  stop.abort();
}

/** The wall clock jumps, comes back, and stands still. */
async function moveClock(life: Life): Promise<void> {
  const { world, counts } = life;
  const { random, clock } = world;
  const sweep = new SweepWatch(life);
  while (life.isBusy) {
    for (let left = random.below(15); left > 0; left -= 1) await life.pause();
    await clock.sleep(1 + random.below(100));
    await life.unlessDead();
    counts.clockJumps += 1;
    sweep.beforeJump();
    if (random.chance(0.3)) clock.isWallFrozen = !clock.isWallFrozen;
    else clock.stepWall(random.pick(jumpsMs));
    sweep.afterJump();
  }
  clock.isWallFrozen = false;
  if (!life.isClosing) sweep.end();
}

/** The disk has little room; somebody else takes some, and gives it back. */
async function fillDisk(life: Life, roomBytes: number): Promise<void> {
  const { world } = life;
  const { random, files } = world;
  const wholeBytes = files.capacityBytes;
  const freeBytes = files.disk.freeBytes;
  while (life.isBusy) {
    files.capacityBytes = wholeBytes - freeBytes + (random.chance(0.8) ? roomBytes : freeBytes);
    for (let left = random.below(60); left > 0; left -= 1) await life.pause();
    await life.unlessDead();
  }
  files.capacityBytes = wholeBytes;
}
