/** A store that is closed changes nothing any more: its directories may be another's. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { openHandles } from "../support/sim-handles.js";
import { bytes, Gate, Rig, rejects, segmentFiles, watch } from "../support/store-rig.js";

/** A large record is read off the event loop, and each has a segment of its own. */
const options = { segmentBytesMax: 128, cacheBytesMax: 0 } as const;
const manifestFiles = /MANIFEST/;

test("P1 V4 V13: damage that a read finds while the store closes is not put into a manifest that is another's by then", async () => {
  const rig = await Rig.open(options);
  await rig.set("large", "x".repeat(100_000));
  await rig.set("last", "");
  await rig.store.hintsWritten();
  const [frame] = await rig.frames();
  await flipBitAtRest(rig.sim.files, `/store/segments/${frame?.segment}`, 8 * 50_000);
  const reading = new Gate();
  const changing = new Gate();
  let isMarked = false;
  rig.injector = ({ op, path }) => {
    if (op === "read" && segmentFiles.test(path)) return reading.fault;
    return isMarked && manifestFiles.test(path) ? changing.fault : undefined;
  };
  const read = rig.store.get(bytes("large"));
  const isRead = Promise.resolve(read).catch(() => undefined);
  const closed = rig.store.close();
  await rig.settle();
  // All is done but for the file that is read.
  isMarked = true;
  reading.open();
  await closed;
  await isRead;
  const next = await Rig.open(options, rig.sim);
  for (const key of ["a", "b", "c"]) await next.set(key, key);
  changing.open();
  await rig.settle();
  const last = await next.killed();
  assert.deepEqual(await last.values("a", "b", "c"), { a: "a", b: "b", c: "c" });
  await last.store.close();
});

test("P1 M13: a close waits for the reserve of the disk that is being made again", async () => {
  const MiB = 1024 * 1024;
  const rig = await Rig.open({ diskReserveBytes: 16 * MiB });
  const used = rig.sim.files.capacityBytes - rig.sim.files.freeBytes("/store");
  const leaveFree = (freeBytes: number): void => {
    rig.sim.files.capacityBytes = used + freeBytes;
  };
  await rig.set("a", "1");
  rig.injector = ({ op }) => (op === "write" ? { kind: "error", code: "ENOSPC" } : undefined);
  await rejects(rig.set("b", "1"), "NO_SPACE");
  const making = new Gate();
  rig.injector = ({ path }) => (path.endsWith("RESERVE") ? making.fault : undefined);
  leaveFree(64 * MiB);
  await rig.sim.clock.advance(300);
  await rejects(rig.set("b", "1"), "NO_SPACE");
  assert.equal(making.held, 1, "the reserve is being made");
  const closed = watch(rig.store.close());
  await rig.settle();
  assert.equal(closed.state, "pending");
  making.open();
  await rig.settle();
  assert.equal(closed.state, "resolved");
  assert.equal(openHandles(rig.sim.files.disk), 0);
});
