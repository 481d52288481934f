/** What the sweep does when the wall clock cannot be trusted: nothing, for an hour. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Gate, Rig, segmentFiles } from "../support/store-rig.js";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const brief = { expiry: { kind: "ttl", ttlMs: 1000 } } as const;

const later = { expiry: { kind: "ttl", ttlMs: 10_000 } } as const;

test("T6 I2: a jump of more than 60 s either way pauses the sweep, and destroys nothing", async () => {
  for (const jumpMs of [61_000, -61_000, 40 * 365 * dayMs]) {
    const rig = await Rig.open();
    await rig.set("a", "1", later);
    await rig.sim.clock.advance(500);
    assert.equal(rig.store.stats().sweepPausedBecause, undefined);
    rig.sim.clock.stepWall(jumpMs);
    await rig.sim.clock.advance(1000);
    const { keys, sweepPausedBecause } = rig.store.stats();
    assert.match(sweepPausedBecause ?? "", /jumped/);
    assert.equal(keys, 1);
    assert.equal(
      await rig.get("a"),
      jumpMs > 0 ? undefined : "1",
      "reads go by the clock there is",
    );
    rig.sim.clock.stepWall(-jumpMs);
    assert.equal(await rig.get("a"), "1", "one jump destroys nothing");
    await rig.store.close();
  }
});

test("T6: clocks that part by less than 60 s stop nothing", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1", later);
  rig.sim.clock.stepWall(59_000);
  await rig.sim.clock.advance(500);
  const { keys, sweepPausedBecause, expired } = rig.store.stats();
  assert.deepEqual([keys, sweepPausedBecause, expired], [0, undefined, 1]);
  await rig.store.close();
});

test("T6: after an hour of a paused sweep the clock is believed", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1", brief);
  rig.sim.clock.stepWall(2 * dayMs);
  await rig.sim.clock.advance(hourMs - 1000);
  assert.equal(rig.store.stats().keys, 1);
  await rig.sim.clock.advance(2000);
  const { keys, sweepPausedBecause } = rig.store.stats();
  assert.deepEqual([keys, sweepPausedBecause], [0, undefined]);
  // From then on the new time is the measure: the next jump pauses it again.
  await rig.set("b", "1", brief);
  rig.sim.clock.stepWall(120_000);
  await rig.sim.clock.advance(500);
  assert.equal(rig.store.stats().keys, 1);
  await rig.store.close();
});

/** A store with a record due at once, closed cleanly or killed, then opened at another time. */
async function openedAfter(stepMs: number, end: "closed" | "killed", trustClock = false) {
  const rig = await Rig.open();
  await rig.set("a", "1", { expiry: { kind: "at", atMs: 1 } });
  if (end === "closed") await rig.store.close();
  rig.sim.clock.stepWall(stepMs);
  const options = { ...rig.options, trustClock };
  const next =
    end === "closed" ? await Rig.open(options, rig.sim) : await rig.killed({ trustClock });
  await next.sim.clock.advance(500);
  return next;
}

test("T6: a wall clock before the newest frame, or 30 days after it, pauses the sweep at the opening", async () => {
  for (const end of ["closed", "killed"] as const) {
    const cases: readonly [number, RegExp | undefined][] = [
      [-1, /before the newest/],
      [-40 * dayMs, /before the newest/],
      [0, undefined],
      [30 * dayMs, undefined],
      [30 * dayMs + 1, /30 days/],
      [400 * dayMs, /30 days/],
    ];
    for (const [stepMs, why] of cases) {
      const next = await openedAfter(stepMs, end);
      const { keys, sweepPausedBecause } = next.store.stats();
      const where = `${end}, ${stepMs} ms later`;
      if (why === undefined) assert.equal(sweepPausedBecause, undefined, where);
      else assert.match(sweepPausedBecause ?? "", why, where);
      assert.equal(keys, why === undefined ? 0 : 1, where);
      assert.equal(await next.get("a"), undefined, "reads hide it whatever the sweep does");
      if (end === "closed" && stepMs === -1) {
        await next.sim.clock.advance(hourMs);
        assert.equal(next.store.stats().keys, 0, `${where}, an hour on`);
      }
      await next.store.close();
    }
  }
});

test("T6: with trustClock the sweep goes on whatever the clock says", async () => {
  for (const stepMs of [-40 * dayMs, 400 * dayMs]) {
    const next = await openedAfter(stepMs, "closed", true);
    assert.equal(next.store.stats().keys, 0);
    await next.set("b", "1", brief);
    next.sim.clock.stepWall(10 * dayMs);
    await next.sim.clock.advance(500);
    const { keys, sweepPausedBecause } = next.store.stats();
    assert.deepEqual([keys, sweepPausedBecause], [0, undefined]);
    await next.store.close();
  }
});

test("I2 V5: a clock stepped back between two writes changes neither order nor segments", async () => {
  const rig = await Rig.open({ segmentBytesMax: 200 });
  for (let turn = 0; turn < 12; turn += 1) {
    await rig.set("a", `${turn}`.padEnd(80, "."));
    rig.sim.clock.stepWall(-1000);
  }
  await rig.store.hintsWritten();
  const frames = await rig.frames();
  const versions = frames.flatMap(({ records }) => records.map(({ version }) => version));
  assert.deepEqual(
    versions,
    versions.toSorted((one, other) => one - other),
  );
  const next = await rig.reopened();
  assert.equal(await next.get("a"), "11".padEnd(80, "."));
  const killed = await next.killed();
  assert.equal(await killed.get("a"), "11".padEnd(80, "."));
  await killed.store.close();
});

test("T6: a record whose turn in the sweep comes when the clock has gone back is left alone", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 1 });
  await rig.set("a", "1", brief);
  await rig.set("b", "1");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const held = rig.set("b", "2");
  await rig.sim.clock.advance(1200);
  assert.equal(rig.store.stats().waitingCalls, 1, "the sweep has asked, and waits for room");
  rig.sim.clock.stepWall(-1000);
  gate.open();
  await held;
  await rig.settle();
  assert.deepEqual([await rig.get("a"), rig.store.stats().expired], ["1", 0]);
  await rig.sim.clock.advance(2000);
  assert.deepEqual([await rig.get("a"), rig.store.stats().expired], [undefined, 1]);
  await rig.store.close();
});
