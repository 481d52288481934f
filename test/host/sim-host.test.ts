/** That simulated time, order and randomness are in the hands of the test alone. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SimClock } from "../support/sim-clock.js";
import { simHost } from "../support/sim-host.js";
import { SimRandom } from "../support/sim-random.js";
import { SeededScheduler } from "../support/sim-scheduler.js";

describe("SimClock", () => {
  it("stands still until it is moved; a step moves the wall alone", async () => {
    const clock = new SimClock({ wallMs: 5_000 });
    assert.deepEqual([clock.wallMs(), clock.monotonicMs()], [5_000, 0]);
    await clock.advance(250);
    assert.deepEqual([clock.wallMs(), clock.monotonicMs()], [5_250, 250]);
    clock.stepWall(-3_000);
    assert.deepEqual([clock.wallMs(), clock.monotonicMs()], [2_250, 250]);
    await clock.advance(0.5);
    assert.deepEqual([clock.wallMs(), clock.monotonicMs()], [2_250, 250.5]);
    await assert.rejects(clock.advance(-1), RangeError);
  });

  it("wakes sleepers in the order of their deadlines, each at its own instant", async () => {
    const clock = new SimClock();
    const woken: string[] = [];
    for (const [name, ms] of [
      ["c", 30],
      ["a", 10],
      ["b1", 20],
      ["b2", 20],
      ["d", 41],
    ] as const) {
      clock.sleep(ms).then(() => woken.push(`${name} ${clock.monotonicMs()}`));
    }
    clock.stepWall(1_000_000);
    await clock.advance(40);
    assert.deepEqual(woken, ["a 10", "b1 20", "b2 20", "c 30"]);
    assert.equal(clock.sleepers, 1);
    await clock.advance(1);
    assert.equal(woken.at(-1), "d 41");
  });

  it("lets a loop that sleeps 100 ms run ten times in a second, whatever it does between", async () => {
    const clock = new SimClock();
    const wokenAt: number[] = [];
    const loop = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(100);
        await new Promise<void>((resolve) => clock.soon(resolve));
        await new Promise<void>((resolve) => clock.soon(resolve));
        wokenAt.push(clock.monotonicMs());
      }
    };
    void loop();
    await clock.advance(1_000);
    assert.deepEqual(wokenAt, [100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
  });

  it("does not wait for tasks that never end", async () => {
    const clock = new SimClock();
    let isStopped = false;
    const spin = (): void => {
      if (!isStopped) clock.soon(spin);
    };
    spin();
    await assert.rejects(clock.settle(), /not at rest/);
    isStopped = true;
  });

  it("wakes at once who is aborted, or sleeps for no time", async () => {
    const clock = new SimClock();
    const controller = new AbortController();
    const sleeping = clock.sleep(1_000, controller.signal);
    controller.abort();
    await sleeping;
    await clock.sleep(1_000, controller.signal);
    await clock.sleep(0);
    assert.equal(clock.sleepers, 0);
    assert.equal(clock.monotonicMs(), 0);
  });
});

describe("SeededScheduler", () => {
  const orderOf = async (seed: number): Promise<string> => {
    const scheduler = new SeededScheduler(seed);
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      for (const name of "abcdefgh") {
        scheduler.defer(() => {
          Promise.resolve().then(() => order.push(`${name}'`));
          order.push(name);
          if (order.length === 15) setImmediate(resolve);
        });
      }
    });
    assert.equal(scheduler.ran, 8);
    assert.equal(scheduler.waiting, 0);
    return order.join("");
  };

  it("runs every task once, in an order that its seed alone decides", async () => {
    const orders: string[] = [];
    for (const seed of [1, 1, 2, 3, 4, 5]) orders.push(await orderOf(seed));
    assert.equal(orders[0], orders[1]);
    assert.equal(new Set(orders).size, 5);
    for (const order of orders) {
      assert.equal([...order.replaceAll("'", "")].sort().join(""), "aabbccddeeffgghh");
    }
  });

  it("lets what a task promised settle before the next task", async () => {
    assert.match(await orderOf(9), /^(?:(\w)\1'){8}$/);
  });
});

describe("SimRandom", () => {
  it("repeats itself for a seed, and differs between seeds, high bits included", () => {
    const first = (seed: number): number[] => {
      const random = new SimRandom(seed);
      return Array.from({ length: 4 }, () => random.bits());
    };
    assert.deepEqual(first(1), first(1));
    const seeds = [0, 1, 2, -1, 2 ** 31, 2 ** 32, 2 ** 33 + 1, 2 ** 52];
    assert.equal(new Set(seeds.map((seed) => first(seed).join())).size, seeds.length);
  });

  it("stays below its bound, and reaches every number there", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 9 }), (seed, bound) => {
        const random = new SimRandom(seed);
        const seen = new Set(Array.from({ length: 300 }, () => random.below(bound)));
        assert.deepEqual([...seen].sort(), [...Array(bound).keys()]);
      }),
    );
  });

  it("is as probable as it says", () => {
    const random = new SimRandom(3);
    let hits = 0;
    for (let round = 0; round < 10_000; round += 1) if (random.chance(0.3)) hits += 1;
    assert.ok(hits > 2_800 && hits < 3_200, `${hits} of 10,000`);
  });
});

describe("simHost", () => {
  it("is the same machine for the same seed", () => {
    const bytes = (seed: number): string =>
      Buffer.from(simHost({ seed }).entropy.bytes(8)).toString();
    assert.equal(bytes(1), bytes(1));
    assert.notEqual(bytes(1), bytes(2));
  });

  it("remembers what was logged, and takes the parts that outlive a crash", () => {
    const host = simHost({ seed: 1 });
    host.log.warn({ segment: 3 }, "torn tail cut");
    assert.deepEqual(host.log.lines, [
      { level: "warn", fields: { segment: 3 }, message: "torn tail cut" },
    ]);
    const next = simHost({ seed: 2, files: host.files.kill(), clock: host.clock, log: host.log });
    assert.equal(next.clock, host.clock);
    assert.equal(next.log, host.log);
    assert.equal(next.files.isDead, false);
    assert.equal(host.files.isDead, true);
  });
});
