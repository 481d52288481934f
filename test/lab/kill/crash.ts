/**
 * The part `crash`: the process is killed in the midst of its work, while it
 * starts, while it recovers and while it drains.
 */

import type { Life } from "./life.js";
import { type Load, sleep } from "./load.js";

/** Segments so small that kills fall into rotations, too. */
const segmentBytesChoices = [4096, 32_768, 262_144];
const ACKNOWLEDGED_MIN = 30;
const ACKNOWLEDGED_SPAN = 270;
/** A start of the real command takes about so long on a quiet machine. */
const START_MS = 900;
/** A drain takes a few milliseconds. */
const DRAIN_MS = 40;

/** A few rounds of load, each with another end. */
export async function crashLife(life: Life, kills: number): Promise<void> {
  const { random } = life;
  const segmentBytes = random.pick(segmentBytesChoices);
  life.flags = [
    "--lift-floors",
    ...["--segment-bytes-max", String(segmentBytes)],
    ...["--flush-interval", `${random.pick([1, 20, 100])}ms`],
    ...(random.chance(0.2) ? ["--max-in-flight-bytes", "100000"] : []),
    ...["--compaction", "manual", "--watch-retention", "0ms"],
  ];
  for (let kill = 0; kill < kills; kill += 1) {
    await life.start();
    const load = life.load(life.plan({ compacter: random.chance(0.1) ? "command" : "rpc" }));
    const count = ACKNOWLEDGED_MIN + random.below(ACKNOWLEDGED_SPAN);
    // Most kills fall into a compaction; some rounds let one come to its end.
    const enough = Promise.all([
      load.acknowledgedBy(count),
      random.chance(0.3) ? load.compacted() : undefined,
    ]);
    await life.under(load, enough, () => endServer(life, load));
    if (random.chance(0.5)) await life.interruptStarts(1 + random.below(2), START_MS);
  }
  await life.start();
}

async function endServer(life: Life, load: Load): Promise<void> {
  const { random } = life;
  const dice = random.below(8);
  if (dice === 0) {
    await life.stop();
  } else if (dice <= 2) {
    life.server.signal("SIGTERM");
    await sleep(random.below(DRAIN_MS));
    await life.kill();
    life.counts.add("kills during a drain");
  } else {
    await life.kill();
  }
  load.end();
}
