/** One life that is hit at one place, and what is left of it, judged. */
import { strict as assert } from "node:assert";
import type { FaultPoint } from "./fault-points.js";
import { judgeRemains } from "./judge.js";
import type { Scene, SceneRun, Stage } from "./scene.js";
import { judgeTold, type Line, Listener } from "./transcript.js";

/** What came of it. */
export interface FaultOutcome {
  /** Whether the life came to the place at all. */
  readonly wasMet: boolean;
  readonly acknowledged: number;
  readonly rejected: number;
}

/** Lives the life, hits it, and throws where something is as it must not be. */
export async function runFault(
  stage: Stage,
  scene: Scene,
  point: FaultPoint,
): Promise<FaultOutcome> {
  const run = await stage.run(scene, point.treatment);
  const where = `${scene.life}: ${point.where}`;
  requireEnd(run, point, where);
  const listener = new Listener();
  try {
    for (const line of run.allLines) listener.hear(line);
    if (point.kind !== "kill") judgeTold(run.allLines);
  } catch (error) {
    throw new Error(`${where}, while it lived`, { cause: error });
  }
  const { acknowledged, rejected } = listener;
  const oracle = listener.oracle;
  const { dataDir } = run;
  await judgeRemains({ dataDir, oracle, nowMs: scene.endMs, isThorough: true, where });
  return { wasMet: run.wasMet, acknowledged, rejected };
}

/** A log or a manifest that was not synced: a write, an opening, a close or a compaction must say so. */
const syncOfConcern = /fdatasync\(\d+<[^>]*(\.seg|\/MANIFEST\.tmp)>/;

/** A life that is not killed ends by itself, and what it does not notice changes nothing. */
function requireEnd(run: SceneRun, point: FaultPoint, where: string): void {
  const { exitCode, signal, stderr, lines, wasMet, refusedCalls } = run;
  const tail = `\n${stderr}\nlast told: ${JSON.stringify(lines.at(-1))}`;
  if (point.kind === "kill" && wasMet) {
    // On a busy machine the last of its writes may come when it has told its end.
    assert.equal(signal, "SIGKILL", `${where}: it lived on${tail}`);
    return;
  }
  assert.equal(signal, null, `${where}: it hung, or died of ${signal}${tail}`);
  assert.equal(exitCode, 0, `${where}: it threw${tail}`);
  const last = lines.at(-1)?.at;
  assert.ok(last === "end" || last === "gave-up", `${where}: it ended early${tail}`);
  const isConcern = refusedCalls.some((call) => syncOfConcern.test(call));
  if (wasMet && !point.isHarmless && !isConcern) return;
  const noticed = lines.find(isNotice);
  if (wasMet && !point.isHarmless) {
    assert.ok(noticed !== undefined, `${where}: a sync failed, and nobody was told`);
    return;
  }
  assert.equal(noticed, undefined, `${where}: nothing happened, and something was refused`);
}

/** Whether a line tells that something was refused. A compaction that a full disk ends was declined. */
function isNotice(line: Line): boolean {
  if (line.at === "reject" || line.at === "refused") return true;
  if (line.at !== "compacted") return false;
  return line.outcome === "failed" || line.why.startsWith("NO_SPACE");
}
