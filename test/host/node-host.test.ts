/** That the real clock, randomness and silence are what the floors above count on. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import type { Log } from "../../src/host/host.js";
import { NodeClock } from "../../src/host/node-clock.js";
import { NodeEntropy, nodeHost, silentLog } from "../../src/host/node-host.js";

const clock = new NodeClock();

describe("NodeClock", () => {
  it("tells whole Unix milliseconds, and a time that never goes back", () => {
    const wallMs = clock.wallMs();
    assert.ok(Number.isSafeInteger(wallMs));
    assert.ok(Math.abs(wallMs - Date.now()) < 1_000);
    let last = clock.monotonicMs();
    for (let round = 0; round < 1_000; round += 1) {
      const now = clock.monotonicMs();
      assert.ok(now >= last);
      last = now;
    }
  });

  it("sleeps as long as it is told", async () => {
    const keepAlive = setInterval(() => undefined, 1_000);
    const startMs = clock.monotonicMs();
    await clock.sleep(50);
    const sleptMs = clock.monotonicMs() - startMs;
    clearInterval(keepAlive);
    assert.ok(sleptMs >= 48 && sleptMs < 5_000, `slept ${sleptMs} ms`);
  });

  it("wakes at once when the signal aborts, and leaves no listener behind", async () => {
    const controller = new AbortController();
    const sleeps = [clock.sleep(1e12, controller.signal), clock.sleep(Infinity, controller.signal)];
    let isAwake = false;
    const all = Promise.all(sleeps).then(() => {
      isAwake = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(isAwake, false);
    controller.abort();
    await all;
    await clock.sleep(1e12, controller.signal);
    const other = new AbortController();
    const keepAlive = setInterval(() => undefined, 1_000);
    await clock.sleep(1, other.signal);
    clearInterval(keepAlive);
    assert.equal(getEventListeners(other.signal, "abort").length, 0);
  });

  it("does not sleep for zero, less, or what is no number", async () => {
    for (const ms of [0, -5, Number.NaN]) await clock.sleep(ms);
  });

  it("does not keep a process alive that has nothing else to do", () => {
    const module = new URL("../../src/host/node-clock.js", import.meta.url).href;
    const program = `
      const { NodeClock } = await import(${JSON.stringify(module)});
      new NodeClock().sleep(3_600_000);
      new NodeClock().sleep(1e15);
    `;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      timeout: 20_000,
    });
    assert.equal(run.status, 0);
  });

  it("runs a task soon: later than what is under way, before a timer of the future", async () => {
    const order: string[] = [];
    const done = new Promise<void>((resolve) => {
      clock.soon(() => {
        order.push("soon");
        resolve();
      });
    });
    process.nextTick(() => order.push("tick"));
    Promise.resolve().then(() => order.push("promise"));
    order.push("now");
    await done;
    assert.equal(order[0], "now");
    assert.equal(order.at(-1), "soon");
    assert.equal(order.length, 4);
  });
});

describe("nodeHost", () => {
  it("draws bytes that do not repeat", () => {
    const entropy = new NodeEntropy();
    const seen = new Set<string>();
    for (let round = 0; round < 100; round += 1) {
      const bytes = entropy.bytes(16);
      assert.equal(bytes.length, 16);
      seen.add(Buffer.from(bytes).toString("hex"));
    }
    assert.equal(seen.size, 100);
    assert.equal(entropy.bytes(0).length, 0);
  });

  it("is silent unless it is given a log", () => {
    assert.equal(nodeHost().log, silentLog);
    const log: Log = { ...silentLog };
    assert.equal(nodeHost({ log }).log, log);
    for (const level of ["debug", "info", "warn", "error"] as const) {
      assert.equal(silentLog[level]({ file: "x" }, "nothing"), undefined);
    }
  });
});
