/** How a compaction is held back: by bytes a second, by slices of time, and by what others need. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Pacer } from "../../../src/engine/compaction/pacer.js";
import { SimClock } from "../../support/sim-clock.js";
import { watch } from "../../support/store-rig.js";

const KiB = 1024;
const MiB = 1024 * KiB;
const never = new AbortController().signal;

/** A clock under which others work: rounds of the event loop take time, and timers are overdue. */
class LoadedClock extends SimClock {
  roundMs = 0;
  overdueMs = 0;

  override soon(task: () => void): void {
    if (this.roundMs === 0) super.soon(task);
    else void super.sleep(this.roundMs).then(task);
  }

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return super.sleep(ms + this.overdueMs, signal);
  }
}

/** Takes pieces one after the other until the clock stands at `untilMs`; counts what it got. */
function taker(clock: SimClock, pacer: Pacer, pieceBytes: number): { bytes: number; stop(): void } {
  const stop = new AbortController();
  const taken = { bytes: 0, stop: () => stop.abort() };
  void (async () => {
    for (;;) {
      await pacer.take(pieceBytes, stop.signal);
      if (stop.signal.aborted) return;
      taken.bytes += pieceBytes;
      // Reading and writing take time as well; without this the loop would not rest.
      await clock.sleep(0.1, stop.signal);
    }
  })();
  return taken;
}

/** The speed once it has had time to settle. */
async function settledSpeed(clock: LoadedClock, pacer: Pacer): Promise<number> {
  for (let turn = 0; turn < 40; turn += 1) {
    void pacer.turn();
    await clock.advance(100);
  }
  return pacer.bytesPerSecond;
}

/** How long the rest is that a turn takes after a slice of work. */
async function restAfter(clock: LoadedClock, pacer: Pacer, sliceMs: number): Promise<number> {
  pacer.hasTime();
  await clock.advance(sliceMs);
  pacer.hasTime();
  // Waiting for the disk is not work.
  await clock.advance(30);
  const fromMs = clock.monotonicMs();
  const turn = watch(pacer.turn());
  await clock.settle();
  while (turn.state === "pending") await clock.advance(0.25);
  return clock.monotonicMs() - fromMs - 2 * clock.roundMs;
}

test("M14: over any time no more is taken than the rate allows, and little less", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 64 * MiB);
  const taken = taker(clock, pacer, 256 * KiB);
  await clock.advance(2000);
  let before = taken.bytes;
  for (const ms of [1, 10, 100, 1000, 3000]) {
    await clock.advance(ms);
    const got = taken.bytes - before;
    before = taken.bytes;
    const mayMax = (64 * MiB * (ms + 250)) / 1000 + 256 * KiB;
    assert.ok(got <= mayMax, `${got} in ${ms} ms`);
    if (ms >= 1000) assert.ok(got >= (64 * MiB * ms * 0.9) / 1000, `${got} in ${ms} ms`);
  }
  taken.stop();
  await clock.settle();
});

test("M14: it starts at an eighth of the rate and takes more than a second to the whole", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 64 * MiB);
  assert.equal(pacer.bytesPerSecond, 8 * MiB);
  const taken = taker(clock, pacer, 256 * KiB);
  await clock.advance(1000);
  assert.ok(taken.bytes <= 40 * MiB, `${taken.bytes}`);
  assert.ok(pacer.bytesPerSecond < 64 * MiB);
  await clock.advance(1000);
  assert.equal(pacer.bytesPerSecond, 64 * MiB);
  taken.stop();
  await clock.settle();
});

test("M14: after a pause a quarter of a second's worth is there, and no more", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 64 * MiB);
  assert.equal(await settledSpeed(clock, pacer), 64 * MiB);
  await clock.advance(60_000);
  let pieces = 0;
  for (;;) {
    const taking = watch(pacer.take(MiB, never));
    await clock.settle();
    if (taking.state === "pending") break;
    pieces += 1;
  }
  assert.equal(pieces, 17, "16 MiB, and one request");
  await clock.advance(1000);
});

test("M14: a request of any size is granted, and the next one waits for as long as it takes to pay for it", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 10 * MiB);
  assert.equal(await settledSpeed(clock, pacer), 10 * MiB);
  const first = watch(pacer.take(100 * MiB, never));
  await clock.settle();
  assert.equal(first.state, "resolved");
  const next = watch(pacer.take(1, never));
  await clock.advance(9700);
  assert.equal(next.state, "pending");
  await clock.advance(400);
  assert.equal(next.state, "resolved");
});

test("M13: a wait for bytes ends at once when the run is cancelled", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, MiB);
  await pacer.take(100 * MiB, never);
  const stop = new AbortController();
  const next = watch(pacer.take(1, stop.signal));
  await clock.advance(5000);
  assert.equal(next.state, "pending");
  stop.abort();
  await clock.settle();
  assert.equal(next.state, "resolved");
  assert.equal(clock.sleepers, 0);
  await pacer.take(1, stop.signal);
});

test("M14: slow rounds halve the speed down to the floor, and quick ones bring it back by steps", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 128 * MiB);
  assert.equal(await settledSpeed(clock, pacer), 128 * MiB);
  clock.roundMs = 3;
  const speeds: number[] = [];
  for (let turn = 0; turn < 30; turn += 1) {
    const before = pacer.bytesPerSecond;
    void pacer.turn();
    await clock.advance(100);
    if (pacer.bytesPerSecond < before) speeds.push(pacer.bytesPerSecond / MiB);
  }
  assert.deepEqual(speeds, [64, 32, 16, 8, 4, 2]);
  clock.roundMs = 0;
  const rises = new Set<number>();
  for (let turn = 0; turn < 40; turn += 1) {
    const before = pacer.bytesPerSecond;
    void pacer.turn();
    await clock.advance(100);
    const rise = Math.round((pacer.bytesPerSecond - before) / MiB);
    if (rise > 0 && pacer.bytesPerSecond < 128 * MiB) rises.add(rise);
  }
  assert.deepEqual([...rises], [8]);
  assert.equal(pacer.bytesPerSecond, 128 * MiB);
});

test("M14: one pause, however long, and rounds of less than a millisecond do not halve the speed", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 128 * MiB);
  await settledSpeed(clock, pacer);
  clock.roundMs = 3000;
  const late = watch(pacer.turn());
  await clock.advance(6000);
  assert.equal(late.state, "resolved");
  assert.equal(pacer.bytesPerSecond, 128 * MiB);
  clock.roundMs = 0.9;
  assert.equal(await settledSpeed(clock, pacer), 128 * MiB);
  clock.roundMs = 1.1;
  assert.equal(await settledSpeed(clock, pacer), 2 * MiB);
});

test("M14: overdue timers halve the speed, too, unless it is by no more than their unit", async () => {
  for (const [overdueMs, speed] of [
    [1, 128 * MiB],
    [4, 2 * MiB],
  ] as const) {
    const clock = new LoadedClock();
    const pacer = new Pacer(clock, 128 * MiB);
    clock.overdueMs = overdueMs;
    const taken = taker(clock, pacer, 4 * MiB);
    await clock.advance(10_000);
    assert.equal(pacer.bytesPerSecond, speed);
    taken.stop();
    await clock.settle();
    clock.overdueMs = 0;
    assert.equal(await restAfter(clock, pacer, 0.5), overdueMs === 1 ? 0 : 2);
  }
});

test("M14: calls that wait slow it down like late turns", async () => {
  const clock = new LoadedClock();
  let isBusy = true;
  const pacer = new Pacer(clock, 128 * MiB, () => isBusy);
  assert.equal(await settledSpeed(clock, pacer), 2 * MiB);
  isBusy = false;
  assert.equal(await settledSpeed(clock, pacer), 128 * MiB);
});

test("the floor is 1 MiB/s or a 64th of the rate, and never above the rate", async () => {
  for (const [rate, floor] of [
    [1024 * MiB, 16 * MiB],
    [16 * MiB, MiB],
    [MiB, MiB],
    [1000, 1000],
    [1, 1],
  ] as const) {
    const clock = new LoadedClock();
    const pacer = new Pacer(clock, rate, () => true);
    assert.equal(await settledSpeed(clock, pacer), floor);
  }
});

test("M14: a slice has a quarter of a millisecond from its first question on, and a turn begins another", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, MiB);
  await clock.advance(50);
  for (let slice = 0; slice < 2; slice += 1) {
    assert.ok(pacer.hasTime());
    await clock.advance(0.1875);
    assert.ok(pacer.hasTime());
    await clock.advance(0.125);
    assert.ok(!pacer.hasTime());
    await pacer.turn();
    await clock.advance(50);
  }
});

test("V11: a slice ends also under a clock that stands still", async () => {
  const pacer = new Pacer(new SimClock(), MiB);
  for (let slice = 0; slice < 2; slice += 1) {
    let looks = 0;
    while (pacer.hasTime()) looks += 1;
    assert.equal(looks, 256);
    await pacer.turn();
  }
});

test("M14: while others wait a slice is followed by a rest of four times its length, at most 20 ms", async () => {
  let isBusy = false;
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, MiB, () => isBusy);
  assert.equal(await restAfter(clock, pacer, 0.5), 0);
  isBusy = true;
  assert.equal(await restAfter(clock, pacer, 0.5), 2);
  assert.equal(await restAfter(clock, pacer, 0.75), 3);
  assert.equal(await restAfter(clock, pacer, 1000), 20);
  isBusy = false;
  assert.equal(await restAfter(clock, pacer, 1000), 0);
});

test("M14: work of others that delays nobody yet brings the rests, at full speed", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 128 * MiB);
  clock.roundMs = 0.25;
  assert.equal(await settledSpeed(clock, pacer), 128 * MiB);
  assert.equal(await restAfter(clock, pacer, 0.5), 2);
  clock.roundMs = 0;
  assert.equal(await settledSpeed(clock, pacer), 128 * MiB);
  assert.equal(await restAfter(clock, pacer, 0.5), 0);
});

test("M14: behind those who write, the speed stays at a quarter of the rate, however late it is let on", async () => {
  const clock = new LoadedClock();
  const pacer = new Pacer(clock, 128 * MiB);
  clock.roundMs = 3;
  assert.equal(await settledSpeed(clock, pacer), 2 * MiB);
  pacer.isBehind = true;
  assert.equal(await settledSpeed(clock, pacer), 32 * MiB);
  pacer.isBehind = false;
  assert.equal(await settledSpeed(clock, pacer), 2 * MiB);
});
