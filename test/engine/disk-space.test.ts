/** The reserve of the disk, when several ask for it at once. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DiskSpace } from "../../src/engine/disk-space.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { simHost } from "../support/sim-host.js";
import { Gate } from "../support/store-rig.js";

const MiB = 1024 * 1024;

test("D6: two that meet a full disk at once give the reserve back one after the other", async () => {
  const sim = simHost({ seed: 1 });
  await sim.files.makeDirectory("/store");
  const removing = new Gate();
  let removes = 0;
  const files = new FaultyFileSystem(sim.files, ({ op, path }) => {
    if (op !== "remove" || path !== "/store/RESERVE") return undefined;
    removes += 1;
    return removes === 2 ? removing.fault : undefined;
  });
  const space = new DiskSpace({
    files,
    clock: sim.clock,
    log: sim.log,
    directory: "/store",
    reservePath: "/store/RESERVE",
    reserveBytes: 16 * MiB,
    cheapestVictimBytes: () => 0,
    manifestBytes: () => 1000,
  });
  const both = Promise.all([space.exhausted(), space.exhausted()]);
  await sim.clock.settle();
  assert.equal(removing.held, 1);
  space.check();
  await sim.clock.settle();
  assert.ok(space.isFull, "nothing is restored that is about to be given back");
  removing.open();
  await both;
  space.check();
  await space.idle();
  assert.ok(!space.isFull);
  assert.deepEqual(
    (await sim.files.list("/store")).map(({ name }) => name),
    ["RESERVE"],
  );
});
