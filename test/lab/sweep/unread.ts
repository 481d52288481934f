/**
 * An opening that cannot read one of the store's files, and what the store then does
 * by itself and is told to do; the next opening can read it.
 *
 *     what was left -> a copy, read by a sound disk: what the store holds
 *                   -> opened, one file refused -> (a delete, a set) -> time -> compactions
 *                   -> killed | closed -> opened by a sound disk: all of that is there
 *
 * Records that an opening could not see are no less acknowledged: no tombstone of an
 * expiry, no compaction, no checkpoint and no hint may take them away, or bring back
 * what they hide.
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { CrashRun } from "../../support/crash-run.js";
import { simHost } from "../../support/sim-host.js";
import type { SimRandom } from "../../support/sim-random.js";
import { imageOf } from "../../support/store-image.js";
import type { LifeCounts } from "./life-run.js";

/** Lives over what is left of a store, which is not open yet, and answers the next life of it. */
export async function liveUnread(
  run: CrashRun,
  where: string,
  random: SimRandom,
  counts: LifeCounts,
): Promise<CrashRun> {
  const sound = run.capture();
  await sound.openAndJudge(where);
  run.oracle = sound.oracle;
  await sound.close();
  const files = filesOf(run);
  const file = files.length === 0 ? undefined : random.pick(files);
  run.isFaulty = true;
  run.host.files.onOperation = ({ op, path }) =>
    op === "read" && path === file ? { code: "EIO", done: "nothing" } : undefined;
  const isOpen = await openUnread(run, counts);
  run.host.files.onOperation = undefined;
  if (isOpen) await workOn(run, random);
  const isKilled = !isOpen || random.chance(0.5);
  if (!isKilled) await run.close();
  const left = isKilled ? run.host.files.kill() : run.host.files;
  const next = run.next(simHost({ seed: 1, files: left, clock: run.host.clock }));
  next.mayBeDamaged = true;
  return next;
}

/** Whether it opens: without what it cannot read, or not at all. */
async function openUnread(run: CrashRun, counts: LifeCounts): Promise<boolean> {
  try {
    await run.open();
  } catch (error) {
    assert.ok(error instanceof KvixError, String(error));
    assert.equal(error.reason, "OPEN_FAILED", error.message);
    counts.refusedOpenings += 1;
    return false;
  }
  if (run.store.stats().damage.length > 0) counts.degradedOpenings += 1;
  return true;
}

/** What the disk may refuse: with a manifest that it refuses nothing opens. */
function filesOf({ host }: CrashRun): string[] {
  return [...imageOf(host.files).keys()].filter((path) => /\.(seg|hint)$/.test(path));
}

/** What a store does whose user knows nothing of what it could not read. */
async function workOn(run: CrashRun, random: SimRandom): Promise<void> {
  await run.makeRoom();
  for (let turn = random.below(9); turn > 0; turn -= 1) {
    const key = random.pick([...run.keys, "unread"]);
    if (random.chance(0.5)) await run.delete(key);
    // Some fill a segment, so that what is in it may be compacted.
    else await run.set(key, `unread ${turn}`.padEnd(random.pick([10, 500]), "x"));
  }
  await run.host.clock.advance(random.pick([0, 500, 2_000]));
  for (let round = random.below(3); round > 0; round -= 1) await run.compact();
}
