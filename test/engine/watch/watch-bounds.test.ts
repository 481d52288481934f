/** What watches may cost: reads, memory, pins; and who is held up by whom (V11). */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { LOG_LEASE_MS } from "../../../src/engine/log-reader.js";
import type { WatchOptions, WatchStep } from "../../../src/engine/store-watch.js";
import { TAIL_BYTES_MAX } from "../../../src/engine/watch/shared-tail.js";
import { compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import { simHost } from "../../support/sim-host.js";
import {
  bytes,
  Gate,
  Rig,
  rejects,
  segmentFiles,
  watch as watched,
} from "../../support/store-rig.js";
import { requireTold, Watcher } from "../../support/watcher.js";

const buffered = { durability: "buffered" } as const;

/** Counts what is read of segments. */
function countingReads(rig: Rig): { reads: number; lengthBytes: number } {
  const counts = { reads: 0, lengthBytes: 0 };
  rig.injector = ({ op, path, lengthBytes = 0 }) => {
    if (op === "read" && segmentFiles.test(path)) {
      counts.reads += 1;
      counts.lengthBytes += lengthBytes;
    }
    return undefined;
  };
  return counts;
}

test("a thousand watchers at the end of the log share one read and one decoding of a publication (G-WATCH-17)", async () => {
  const rig = await Rig.open();
  const watchers = Array.from({ length: 1000 }, (_, index) => {
    const range: WatchOptions = index % 2 === 0 ? {} : { key: bytes(`k${index % 10}`) };
    return new Watcher(rig.store.watch(range));
  });
  await rig.settle();
  const counts = countingReads(rig);
  for (let index = 0; index < 10; index += 1) await rig.set(`k${index}`, "v");
  await rig.settle();
  assert.ok(counts.reads <= 20, `${counts.reads} reads`);
  for (const [index, watcher] of watchers.entries()) {
    assert.equal(watcher.told.length, index % 2 === 0 ? 10 : 1);
    await watcher.stop();
  }
  assert.equal(rig.store.stats().pins, 0);
  await rig.store.close();
});

test("a watcher that is a little slow finds what it missed without another read (G-WATCH-17)", async () => {
  const rig = await Rig.open();
  const quick = new Watcher(rig.store.watch({}));
  const slow = rig.store.watch({});
  await slow.next();
  await rig.settle();
  const first = slow.next();
  for (let index = 0; index < 100; index += 1) {
    await rig.set(`k${index}`, "v".repeat(500));
    await rig.settle();
  }
  await first;
  const counts = countingReads(rig);
  const steps: WatchStep[] = [(await first).value as WatchStep];
  while ((steps.at(-1)?.version ?? 0) < 100) steps.push((await slow.next()).value as WatchStep);
  assert.equal(counts.reads, 0);
  assert.equal(steps.flatMap(({ events }) => events).length, 100);
  assert.equal(quick.told.length, 100);
  await rig.store.close();
});

test("V11: the end of the log that is kept has a bound, and who is behind it reads the log by himself, every change once (G-WATCH-11)", async () => {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024 });
  const quick = new Watcher(rig.store.watch({ keysOnly: true }));
  const slow = rig.store.watch({ afterVersion: 0, keysOnly: true });
  await slow.next();
  for (let index = 0; index < 300; index += 1) {
    await rig.set(`k${index}`, "v".repeat(30_000), buffered);
    if (index % 50 === 0) await rig.store.sync();
  }
  await rig.store.sync();
  await rig.settle();
  assert.equal(quick.told.length, 300);
  const counts = countingReads(rig);
  const steps: WatchStep[] = [];
  while ((steps.at(-1)?.version ?? 0) < 300) steps.push((await slow.next()).value as WatchStep);
  const changes = Array.from({ length: 300 }, (_, at) => [`${at + 1} set k${at} `]);
  requireTold(steps, changes, { after: 0, matches: () => true });
  const missed = 300 * 30_000 - TAIL_BYTES_MAX;
  assert.ok(counts.lengthBytes > missed / 2, `${counts.lengthBytes} bytes were read again`);
  await rig.store.close();
});

test("V11: a watcher that asks for nothing holds up neither writers nor others, nor a segment for longer than its lease (G-WATCH-16)", async () => {
  const options = { ...onDemand, segmentBytesMax: 2000, flushIntervalMs: 1 };
  const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, {
    chooseVictims: takingAll(5),
  });
  for (let index = 0; index < 40; index += 1) await rig.set("k", `${index}${"v".repeat(100)}`);
  const idle = rig.store.watch({ afterVersion: 0 });
  await idle.next();
  await idle.next();
  assert.equal(rig.store.stats().pins, 1, "it has a place in a segment");
  await rig.store.hintsWritten();
  const run = compacted(rig);
  for (let turn = 0; turn < 20; turn += 1) await rig.sim.clock.advance(1000);
  assert.ok(rig.store.stats().compaction.pinnedBytes > 0, "its segment is kept for it");
  await rig.sim.clock.advance(LOG_LEASE_MS);
  await run;
  assert.equal(rig.store.stats().pins, 0);
  assert.equal(rig.store.stats().compaction.pinnedBytes, 0);
  const error = await rejects(
    (async () => {
      for (let step = 0; step < 50; step += 1) await idle.next();
    })(),
    "HISTORY_LOST",
  );
  assert.ok((error.resume?.afterVersion ?? 0) >= 1);
  assert.equal(error.resume?.historyFloor, rig.store.logReaders.floor);
  await rig.store.close();
});

test("V11: eight of those who are behind read at once, the others in turn, and all are told all (G-WATCH-11)", async () => {
  const rig = await Rig.open();
  for (let index = 0; index < 20; index += 1) await rig.set(`k${index}`, "v".repeat(100));
  const next = await rig.reopened();
  const gate = new Gate();
  next.injector = ({ op, path }) =>
    op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
  const watchers = Array.from({ length: 30 }, () => {
    return new Watcher(next.store.watch({ afterVersion: 0 }));
  });
  await next.settle();
  assert.equal(gate.held, 8);
  gate.open();
  await next.settle();
  for (const watcher of watchers) assert.equal(watcher.told.length, 20);
  await next.store.close();
});

test("V11: frames larger than a read are read one after the other when there are many, and told whole (G-WATCH-5)", async () => {
  const rig = await Rig.open({ segmentBytesMax: 512 * 1024 * 1024 });
  const value = new Uint8Array(30 * 1024 * 1024);
  for (let index = 0; index < 2; index += 1) {
    await rig.store.set(bytes(`large${index}`), value, { kind: "never" });
  }
  const next = await rig.reopened();
  let [reading, most] = [0, 0];
  next.injector = ({ op, path, lengthBytes = 0 }) => {
    if (op !== "read" || !segmentFiles.test(path) || lengthBytes < value.length) return undefined;
    reading += 1;
    most = Math.max(most, reading);
    return {
      kind: "wait",
      until: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        reading -= 1;
      },
    };
  };
  const watchers = Array.from({ length: 12 }, (_, index) => {
    const bytesMax = index % 2 === 0 ? 64 * 1024 * 1024 : undefined;
    return new Watcher(next.store.watch({ afterVersion: 0, bytesMax }));
  });
  for (let turn = 0; turn < 200; turn += 1) {
    await next.settle();
    if (watchers.every(({ steps }) => steps.at(-1)?.version === 2)) break;
  }
  for (const [index, { steps }] of watchers.entries()) {
    const events = steps.flatMap((each) => each.events);
    assert.equal(events.length, 2);
    assert.ok(events.every(({ record }) => (typeof record === "string") === (index % 2 === 1)));
  }
  assert.ok(most > 1 && most <= 4, `${most} at once, of 30 MiB in 128`);
  await next.store.close();
});

test("V11: a watch that is abandoned after its signal was aborted is kept by nobody", async () => {
  const rig = await Rig.open();
  for (let index = 0; index < 10_001; index += 1) {
    const stop = new AbortController();
    rig.store.watch({ signal: stop.signal });
    stop.abort();
  }
  const open = Array.from({ length: 10_000 }, () => rig.store.watch({}));
  await rejects((async () => rig.store.watch({}))(), "OVERLOADED", "none");
  await open[0]?.return?.();
  await rig.store.watch({}).return?.();
  await rig.store.close();
});

test("V11: a watch that is left while it waits for room leaves none of it taken", async () => {
  const rig = await Rig.open({ segmentBytesMax: 512 * 1024 * 1024 });
  const value = new Uint8Array(40 * 1024 * 1024);
  await rig.store.set(bytes("large"), value, { kind: "never" });
  const large = { afterVersion: 0, bytesMax: 64 * 1024 * 1024 };
  /** One that has its large step, which holds its room until the next is asked for. */
  const holding = async (options: WatchOptions) => {
    const steps = rig.store.watch(options);
    for (;;) {
      const { value: step } = await steps.next();
      if (step === undefined || step.events.length > 0) return steps;
    }
  };
  for (const options of [large, { includeCurrent: true, bytesMax: large.bytesMax }]) {
    const first = await holding(large);
    const left = rig.store.watch(options);
    if (options === large) await left.next();
    const waiting = left.next();
    await rig.settle();
    await left.return();
    await first.return();
    assert.equal((await waiting).done, true);
    const second = watched(holding(large));
    await rig.settle();
    assert.equal(second.state, "resolved", "there is room");
    await second.value?.return();
  }
  await rig.store.close();
});
