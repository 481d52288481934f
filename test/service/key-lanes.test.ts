/** The order of operations on one key, against a plain statement of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeyLanes, type Laned, laneOf } from "../../src/service/key-lanes.js";

interface Step extends Laned {
  readonly at: number;
}

/** Whether `later` must wait until `earlier` is done: both name a key, and one of them is a read. */
function isHeldUp(earlier: Step, later: Step): boolean {
  return (
    earlier.lanes.some((lane) => later.lanes.includes(lane)) && later.isRead && !earlier.isRead
  );
}

const steps = fc.array(
  fc.record({
    lanes: fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }),
    isRead: fc.boolean(),
  }),
  { maxLength: 40 },
);

test("operations on one key start in order, a read when the writes before it are done, and all of them start (G-PIPE-1)", () => {
  fc.assert(
    fc.property(steps, fc.infiniteStream(fc.nat()), (plan, choices) => {
      const started: Step[] = [];
      const running = new Set<Step>();
      const lanes = new KeyLanes<Step>((step) => {
        for (const before of running) {
          assert.ok(!(before.at < step.at && isHeldUp(before, step)), "a read ran beside a write");
        }
        started.push(step);
        if (!step.isRead) running.add(step);
      });
      const finishOne = (): void => {
        const open = [...running];
        const step = open[(choices.next().value as number) % open.length] as Step;
        running.delete(step);
        lanes.leave(step);
      };
      for (const [at, step] of plan.entries()) {
        lanes.enter({ ...step, at });
        while (running.size > 0 && (choices.next().value as number) % 3 === 0) finishOne();
      }
      while (running.size > 0) finishOne();
      assert.equal(started.length, plan.length);
      for (let lane = 0; lane < 5; lane += 1) {
        const order = started.filter((step) => step.lanes.includes(lane)).map(({ at }) => at);
        assert.deepEqual(
          order,
          order.slice().sort((one, other) => one - other),
        );
      }
    }),
    { numRuns: 2000 },
  );
});

test("the lanes of a write are not asked for until something comes that may have to wait for it", () => {
  let asked = 0;
  const ran: number[] = [];
  const lanes = new KeyLanes<Step>((step) => ran.push(step.at));
  const write = (at: number): Step => ({
    at,
    isRead: false,
    get lanes() {
      asked += 1;
      return [at % 2];
    },
  });
  const writes = [write(0), write(1), write(2)];
  for (const step of writes) lanes.enter(step);
  lanes.leave(writes[1] as Step);
  assert.deepEqual([ran, asked, lanes.hasWaiting], [[0, 1, 2], 0, false]);
  lanes.enter({ at: 3, isRead: true, lanes: [0] });
  lanes.enter({ at: 4, isRead: true, lanes: [1] });
  assert.deepEqual([ran, lanes.hasWaiting], [[0, 1, 2, 4], true]);
  assert.ok(asked > 0);
  lanes.leave(writes[0] as Step);
  lanes.leave(writes[2] as Step);
  assert.deepEqual([ran, lanes.hasWaiting], [[0, 1, 2, 4, 3], false]);
});

test("10,000 operations that wait on one key run without a deep stack", () => {
  let ran = 0;
  const lanes = new KeyLanes<Laned>(() => {
    ran += 1;
  });
  const write = { lanes: [1], isRead: false };
  lanes.enter(write);
  for (let at = 0; at < 10_000; at += 1) lanes.enter({ lanes: [1], isRead: true });
  lanes.leave(write);
  assert.equal(ran, 10_001);
});

test("keys that differ in length or at either end have lanes of their own", () => {
  const keys = ["a", "b", "aa", `${"x".repeat(60)}a`, `${"x".repeat(60)}b`, `a${"x".repeat(100)}`];
  assert.equal(new Set(keys.map((key) => laneOf(Buffer.from(key)))).size, keys.length);
  assert.equal(laneOf(Buffer.from("same")), laneOf(Buffer.from("same")));
  for (const key of keys) {
    assert.equal(laneOf(Buffer.from(`_${key}_`), 1, 1 + key.length), laneOf(Buffer.from(key)));
  }
});
