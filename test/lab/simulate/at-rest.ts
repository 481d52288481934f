/** What holds of a store when none of its clients is at work. */
import { strict as assert } from "node:assert";
import type { Life } from "./life.js";

/** How often one waits for a flush: a disk takes its time. */
const flushWaitsMax = 20;

/** The sums of the store are those of what was written. */
export function requireSums({ history, store }: Life): void {
  const { keys, liveBytes, condition } = store.stats();
  if (condition.latched) return;
  const ofSegments = store.segments().reduce((sum, segment) => sum + segment.liveBytes, 0);
  assert.equal(ofSegments, liveBytes, "I8: the live bytes of all segments are those of the store");
  let surely = 0;
  let maybe = 0;
  for (const key of history.states.keys) {
    const entry = history.states.newest(key);
    if (entry?.value === undefined) continue;
    if (history.states.mayBeSwept(entry)) maybe += 1;
    else surely += 1;
  }
  const isRight = keys >= surely && keys <= surely + maybe;
  assert.ok(isRight, `I8: ${keys} keys, and ${surely} to ${surely + maybe} were written`);
}

/** What was acknowledged as buffered becomes durable by itself, within the flush interval. */
export async function waitForFlush(life: Life): Promise<void> {
  const { store, history, world } = life;
  const { version } = store;
  const calls = history.calls.length;
  for (let wait = 0; store.stats().durableVersion < version; wait += 1) {
    if (store.stats().condition.latched) return;
    assert.ok(wait < flushWaitsMax, "V1: what is buffered is never synced");
    await world.clock.sleep(Math.max(200, store.settings.flushIntervalMs));
    await life.unlessDead();
  }
  history.durableUpTo(calls);
}
