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

/** What an opening that met a refused file came to. */
export type UnreadEnd = "refused" | "whole" | "degraded";

/** Lives over what is left of a store and answers what came of it; `run` is not open yet. */
export async function liveUnread(
  run: CrashRun,
  where: string,
  random: SimRandom,
): Promise<{ readonly end: UnreadEnd; readonly next: CrashRun }> {
  const sound = run.capture();
  await sound.openAndJudge(where);
  run.oracle = sound.oracle;
  await sound.close();
  const files = filesOf(run);
  const file = files.length === 0 ? undefined : random.pick(files);
  run.isFaulty = true;
  run.host.files.onOperation = ({ op, path }) =>
    op === "read" && path === file ? { code: "EIO", done: "nothing" } : undefined;
  const end = await openUnread(run);
  run.host.files.onOperation = undefined;
  if (end !== "refused") await workOn(run, random);
  const isKilled = end === "refused" || random.chance(0.5);
  if (!isKilled) await run.close();
  const left = isKilled ? run.host.files.kill() : run.host.files;
  const next = run.next(simHost({ seed: 1, files: left, clock: run.host.clock }));
  next.mayBeDamaged = true;
  return { end, next };
}

async function openUnread(run: CrashRun): Promise<UnreadEnd> {
  try {
    await run.open();
  } catch (error) {
    assert.ok(error instanceof KvixError, String(error));
    assert.equal(error.reason, "OPEN_FAILED", error.message);
    return "refused";
  }
  return run.store.stats().damage.length > 0 ? "degraded" : "whole";
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
