/** A manifest that is lost or damaged is refused at opening, and can be rebuilt. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { repairStore } from "../../src/engine/repair.js";
import { verifyStore } from "../../src/engine/verify.js";
import { compactedLife, eventfulLife } from "../support/crash-life.js";
import { CrashRun, tinyStore } from "../support/crash-run.js";
import { FaultyFileSystem, injectFault } from "../support/faulty-file-system.js";
import { isMutating } from "../support/file-operation.js";
import { crashAt } from "../support/sim-hook.js";
import { simHost } from "../support/sim-host.js";

/** A store of many segments, killed while open; all of it was synced. */
async function storeWithout(names: readonly string[]): Promise<CrashRun> {
  const run = new CrashRun();
  await run.live(eventfulLife);
  await run.host.clock.advance(1000);
  run.oracle.allDurable();
  const files = run.host.files.kill();
  for (const name of names) await files.remove(`/store/${name}`);
  return run.next(simHost({ seed: 2, files, clock: run.host.clock }));
}

test("R8 V9: without a manifest a store is refused, and the repair brings every record back", async () => {
  for (const names of [["MANIFEST"], ["MANIFEST", "MANIFEST.prev"]]) {
    const run = await storeWithout(names);
    await assert.rejects(run.open(), /MANIFEST_DAMAGED.*kvix repair --data-dir/);
    const report = await repairStore(tinyStore, run.host);
    assert.ok(report.isRepaired && report.segments.length > 3);
    await run.openAndJudge("after the repair");
    await run.set("after", "1");
    await run.close();
    await run.next(run.host).openAndJudge("opened again");
  }
});

test("V9: a damaged manifest is refused, kept, and replaced by the repair", async () => {
  const run = await storeWithout([]);
  const manifest = await run.host.files.open("/store/MANIFEST", "write");
  await manifest.write(Uint8Array.of(0xff), 40);
  await manifest.close();
  await assert.rejects(run.open(), /MANIFEST_DAMAGED/);
  await repairStore(tinyStore, run.host);
  const names = (await run.host.files.list("/store")).map((entry) => entry.name);
  assert.ok(names.includes("MANIFEST.damaged"));
  await run.openAndJudge("after the repair");
});

test("a sound manifest is left alone", async () => {
  const run = await storeWithout([]);
  assert.equal((await repairStore(tinyStore, run.host)).isRepaired, false);
  await run.openAndJudge("after no repair");
});

test("P1: a repair and a check give both locks back, though the first cannot be released properly", async () => {
  const run = await storeWithout(["MANIFEST"]);
  const refuse = injectFault({ kind: "error", code: "EIO" }, { op: "release" });
  const host = { ...run.host, files: new FaultyFileSystem(run.host.files, refuse) };
  assert.ok((await repairStore(tinyStore, host)).isRepaired);
  assert.equal(refuse.seen, 2);
  refuse.seen = 0;
  await verifyStore(tinyStore, host);
  assert.equal(refuse.seen, 2);
  await run.openAndJudge("after both");
});

test("V6 M5 R8: a manifest that is lost in the middle of a compaction costs nothing", async () => {
  let operations = 0;
  await new CrashRun().live(compactedLife, ({ op, index }) => {
    if (isMutating(op)) operations = index + 1;
    return undefined;
  });
  for (let index = 40; index < operations; index += 3) {
    const run = new CrashRun();
    await run.live(compactedLife, crashAt(index, "crash-after"));
    const files = run.host.files.kill();
    const names = (await files.list("/store")).map(({ name }) => name);
    if (!names.includes("MANIFEST") || !names.includes("MANIFEST.prev")) continue;
    await files.remove("/store/MANIFEST");
    const next = run.next(simHost({ seed: 2, files, clock: run.host.clock }));
    await repairStore(tinyStore, next.host);
    await next.openAndJudge(`the manifest was lost after operation ${index}`);
    await next.set("after", "1");
    await next.compact();
    await next.close();
    await next.next(next.host).openAndJudge(`opened again, after operation ${index}`);
  }
});

test("V9: a segment of another store is left out", async () => {
  const run = await storeWithout(["MANIFEST"]);
  const stray = await run.host.files.open("/store/segments/segment_00077_5.seg", "create");
  await stray.write(new Uint8Array(64).fill(7), 0);
  await stray.close();
  const report = await repairStore(tinyStore, run.host);
  assert.deepEqual(report.leftOut, ["segment_00077_5.seg"]);
  await run.openAndJudge("after the repair");
});
