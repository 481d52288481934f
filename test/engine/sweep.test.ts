/** The loop of the sweep alone: when it looks for what is due, and when it holds still. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Keydir } from "../../src/engine/keydir/keydir.js";
import { Sweep } from "../../src/engine/sweep.js";
import { SimClock } from "../support/sim-clock.js";
import { simHost } from "../support/sim-host.js";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** A clock that lets hours pass for one sleeper without waking him in between. */
class LongClock extends SimClock {
  #passedMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.#passedMs;
  }

  /** Both clocks go on, and nobody wakes. */
  pass(ms: number): void {
    this.#passedMs += ms;
    this.stepWall(ms);
  }
}

/** A sweep over an index in which two entries are always due; what it did. */
function setUp({ ageMs = 0, trustClock = false, unreadVersion = 0 } = {}) {
  const { log } = simHost({ seed: 1 });
  const clock = new LongClock();
  const facts = {
    isIdle: true,
    expiring: 2,
    isExpired: true,
    looks: 0,
    latest: [] as number[],
    expired: [] as string[],
  };
  const keydir = {
    get expiring() {
      return facts.expiring;
    },
    soonestDue: (nowMs: number, max: number, visit: (entry: number) => void) => {
      facts.looks += 1;
      facts.latest = [nowMs, max];
      for (const entry of [3, 5]) visit(entry);
    },
    keyOf: (entry: number) => Uint8Array.of(entry),
    versionOf: (entry: number) => entry * 10,
  } as unknown as Keydir;
  const sweep = new Sweep({
    clock,
    log,
    keydir,
    trustClock,
    newestTimestampMs: clock.wallMs() - ageMs,
    unreadVersion,
    isIdle: () => facts.isIdle,
    expire: async (key, version) => {
      facts.expired.push(`${key}:${version}`);
      return facts.isExpired || version === 30;
    },
  });
  return { sweep, clock, facts };
}

test("V11: what is due is asked for ten times a second, by the wall clock, at most a thousand at once", async () => {
  const { sweep, clock, facts } = setUp();
  sweep.start();
  sweep.start();
  await clock.advance(99);
  assert.equal(facts.looks, 0);
  await clock.advance(1);
  assert.deepEqual(facts.latest, [clock.wallMs(), 1000]);
  assert.deepEqual(facts.expired, ["3:30", "5:50"]);
  await clock.advance(900);
  assert.deepEqual([facts.looks, sweep.expired], [10, 20]);
  await sweep.stop();
});

test("only what was written counts as expired", async () => {
  const { sweep, clock, facts } = setUp();
  facts.isExpired = false;
  sweep.start();
  await clock.advance(100);
  assert.equal(sweep.expired, 1);
  await sweep.stop();
});

test("V11: nothing is asked for while the queue is full, or nothing expires", async () => {
  const { sweep, clock, facts } = setUp();
  sweep.start();
  facts.isIdle = false;
  await clock.advance(300);
  facts.isIdle = true;
  facts.expiring = 0;
  await clock.advance(300);
  assert.equal(facts.looks, 0);
  facts.expiring = 1;
  await clock.advance(100);
  assert.equal(facts.looks, 1);
  await sweep.stop();
});

test("a sweep that is stopped wakes nobody up, and looks no more", async () => {
  const { sweep, clock, facts } = setUp();
  sweep.start();
  await clock.advance(100);
  await sweep.stop();
  assert.equal(clock.sleepers, 0);
  await clock.advance(1000);
  assert.equal(facts.looks, 1);
  const idle = setUp().sweep;
  await idle.stop();
});

test("T6: the newest frame's time at the opening, to the millisecond", async () => {
  for (const [ageMs, isPaused] of [
    [0, false],
    [-1, true],
    [30 * dayMs, false],
    [30 * dayMs + 1, true],
  ] as const) {
    const { sweep, clock, facts } = setUp({ ageMs });
    assert.equal(sweep.pausedBecause !== undefined, isPaused, `${ageMs}`);
    sweep.start();
    await clock.advance(100);
    assert.equal(facts.looks, isPaused ? 0 : 1);
    await sweep.stop();
    const trusting = setUp({ ageMs, trustClock: true });
    assert.equal(trusting.sweep.pausedBecause, undefined);
  }
  // Without a frame there is nothing to hold the clock against.
  const { clock } = setUp();
  const none = setUp({ ageMs: clock.wallMs() });
  assert.equal(none.sweep.pausedBecause, undefined);
});

test("T6: wall and monotonic time may part by a minute either way, and not by more", async () => {
  for (const [stepMs, isPaused] of [
    [minuteMs, false],
    [minuteMs + 1, true],
    [-minuteMs, false],
    [-minuteMs - 1, true],
  ] as const) {
    const { sweep, clock, facts } = setUp();
    sweep.start();
    // Time that passes for both parts nothing.
    clock.pass(2 * minuteMs);
    await clock.advance(100);
    clock.stepWall(stepMs);
    facts.looks = 0;
    await clock.advance(1000);
    assert.deepEqual([facts.looks > 0, sweep.pausedBecause !== undefined], [!isPaused, isPaused]);
    await sweep.stop();
    const trusting = setUp({ trustClock: true });
    trusting.sweep.start();
    trusting.clock.stepWall(stepMs);
    await trusting.clock.advance(1000);
    assert.equal(trusting.facts.looks, 10);
    await trusting.sweep.stop();
  }
});

test("T6: a pause lasts an hour, and what the clocks were then is the new measure", async () => {
  const { sweep, clock, facts } = setUp();
  sweep.start();
  clock.stepWall(dayMs);
  await clock.advance(100);
  assert.ok(sweep.pausedBecause !== undefined);
  clock.stepWall(-2 * dayMs);
  clock.pass(hourMs - 200);
  await clock.advance(100);
  assert.equal(facts.looks, 0);
  await clock.advance(100);
  assert.deepEqual([facts.looks, sweep.pausedBecause], [1, undefined]);
  clock.stepWall(minuteMs);
  await clock.advance(100);
  assert.equal(facts.looks, 2);
  clock.stepWall(1);
  await clock.advance(100);
  assert.deepEqual([facts.looks, sweep.pausedBecause !== undefined], [2, true]);
  await sweep.stop();
});
