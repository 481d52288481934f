/**
 * A hint made while the disk refuses to read: what cannot be read now may be read
 * later, so no hint may be written that leaves it out.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { OperationFacts } from "../support/file-operation.js";
import { Rig, segmentFiles } from "../support/store-rig.js";

/** Refuses the first reads of segments as long as a hint is being written. */
function refuseReads(rig: Rig, refusals: number): void {
  let left = refusals;
  rig.injector = ({ op, path, position }: OperationFacts) => {
    if (op !== "read" || !segmentFiles.test(path) || position !== 0 || left === 0) return undefined;
    left -= 1;
    return { kind: "error", code: "EIO" };
  };
}

for (const refusals of [1, 2, 3, Number.POSITIVE_INFINITY]) {
  test(`V13 V1 R7: a segment that the disk refuses to read ${refusals} times gets no hint that forgets its records`, async () => {
    const rig = await Rig.open({ segmentBytesMax: 150 });
    await rig.set("key", "older");
    await rig.set("filler", "x".repeat(100));
    await rig.store.hintsWritten();
    await rig.set("key", "newer");
    refuseReads(rig, refusals);
    await rig.set("other", "x".repeat(100));
    await rig.store.hintsWritten();
    rig.injector = undefined;
    assert.equal(await rig.get("key"), "newer");
    const next = await rig.killed();
    assert.equal(await next.get("key"), "newer", "it was there all the time");
    await next.store.close();
  });
}
