/** A compaction that nothing holds back: time stands still in a simulation, so a rate would hold it for ever. */
import type { Pace } from "../../src/engine/compaction/pacer.js";
import type { Clock } from "../../src/host/host.js";

/** Leaves the event loop to others after every slice, and takes no time. */
export function unpaced(clock: Pick<Clock, "soon">): Pace {
  const turn = (): Promise<void> => new Promise((resolve) => clock.soon(resolve));
  return { take: turn, hasTime: () => false, turn, isBehind: false };
}
