/**
 * What is asked of a store after whatever happened to it: it opens with what it may
 * have, takes writes, closes, and opens again as if nothing had been.
 *
 *     opened, judged -> written to -> (compacted) -> closed -> opened again, judged -> closed
 *                                                     (without hints and checkpoint, too)
 */
import { strict as assert } from "node:assert";
import { verifyStore } from "../../src/engine/verify.js";
import { severityOf } from "../../src/engine/verify-findings.js";
import type { CrashRun } from "./crash-run.js";
import { imageOf, segmentDir } from "./store-image.js";

/** Opens, judges, writes on, closes, opens again. */
export async function liveOn(run: CrashRun, where: string): Promise<void> {
  const again = await openedAgain(run, where, false);
  await again.close();
}

/** The same, with a compaction before the close; nothing of it may be left lying about. */
export async function compactOn(run: CrashRun, where: string): Promise<void> {
  const again = await openedAgain(run, where, true);
  assert.deepEqual(straysOf(again), [], `${where}: nothing is left lying about`);
  await again.close();
}

/**
 * The same, and a third opening that has neither hints nor checkpoint: it comes to the
 * same records and figures. At the end the check of the store finds no damage.
 */
export async function compactOnThoroughly(run: CrashRun, where: string): Promise<void> {
  const again = await openedAgain(run, where, true);
  assert.deepEqual(straysOf(again), [], `${where}: nothing is left lying about`);
  await again.store.hintsWritten();
  const figures = figuresOf(again);
  await again.close();
  const { files } = again.host;
  for (const { name } of await files.list(segmentDir)) {
    if (name.endsWith(".hint")) await files.remove(`${segmentDir}/${name}`);
  }
  await files.remove("/store/CHECKPOINT").catch(() => undefined);
  const bare = again.next(again.host);
  await bare.openAndJudge(`${where}, opened without hints`);
  assert.deepEqual(figuresOf(bare), figures, `${where}: figures without hints`);
  await bare.close();
  const report = await verifyStore(bare.options, bare.host);
  const damages = report.findings.filter((finding) => severityOf(finding) === "damage");
  assert.deepEqual(damages, [], `${where}: the check finds nothing`);
}

/** Opened, judged, written to, closed, and opened once more. */
async function openedAgain(run: CrashRun, where: string, compacts: boolean): Promise<CrashRun> {
  await run.openAndJudge(where);
  await run.makeRoom();
  assert.equal(await run.set("after", "1"), undefined, `${where}: it takes a write`);
  assert.equal(await run.delete("a"), undefined, `${where}: it takes a delete`);
  if (compacts) await run.compact();
  await run.close();
  const again = run.next(run.host);
  await again.openAndJudge(`${where}, opened again`);
  const { wasClean } = again.store.stats().open;
  assert.ok(wasClean, `${where}: the second opening follows a clean close`);
  return again;
}

function figuresOf({ store }: CrashRun): Record<string, number> {
  const { keys, liveBytes, deadBytes, segments, version } = store.stats();
  return { keys, liveBytes, deadBytes, segments, version };
}

/** What no opening knows. The file of a rotation that was cut off is empty; that may be left. */
function straysOf(run: CrashRun): string[] {
  const image = imageOf(run.host.files);
  const sizeOf = (name: string): number => image.get(`${segmentDir}/${name}`)?.length ?? 0;
  const { strayFiles } = run.store.stats().open;
  return strayFiles.filter((name) => sizeOf(name) > 0 || /hint/.test(name));
}
