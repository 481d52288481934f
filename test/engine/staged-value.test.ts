/** How a staged value is copied. What becomes of the copy is in upload-pending.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  STAGED_SLICE_BYTES,
  StagedValue,
  StagingFault,
  slicePair,
} from "../../src/engine/staged-value.js";
import { crc32 } from "../../src/format/checksum.js";
import type { File } from "../../src/host/file-system.js";
import { SimRandom } from "../support/sim-random.js";

const content = new SimRandom(12).bytes(3 * STAGED_SLICE_BYTES + 17);

/** A staged value whose file is read as `read` says. */
function staged(read: (target: Uint8Array, position: number) => Promise<number>): StagedValue {
  const file = { read } as Partial<File> as File;
  return new StagedValue(file, content.length, crc32(content));
}

async function fill(target: Uint8Array, position: number): Promise<number> {
  target.set(content.subarray(position, position + target.length));
  return target.length;
}

test("one memory serves value after value", async () => {
  const buffers = slicePair();
  for (let count = 0; count < 2; count += 1) {
    const copied: Uint8Array[] = [];
    await staged(fill).copy(buffers, async (slice) => {
      await new Promise((resolve) => setImmediate(resolve));
      copied.push(Uint8Array.from(slice));
    });
    assert.equal(copied.length, 4);
    assert.ok(Buffer.concat(copied).equals(content));
  }
});

test("a copy whose write fails ends when nothing more is read into its memory (V2)", async () => {
  let finishRead: () => void = () => undefined;
  const value = staged(async (target, position) => {
    if (position > 0) {
      await new Promise<void>((resolve) => {
        finishRead = resolve;
      });
    }
    return await fill(target, position);
  });
  let hasEnded = false;
  const copying = value
    .copy(slicePair(), () => Promise.reject(new Error("no space")))
    .finally(() => {
      hasEnded = true;
    });
  copying.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(hasEnded, false);
  finishRead();
  await assert.rejects(copying, /no space/);
});

test("a copy ends with the fault of its file when what was written before is written", async () => {
  const order: string[] = [];
  const value = staged(async (target, position) => {
    if (position > 0) throw new Error("unreadable");
    return await fill(target, position);
  });
  const copying = value.copy(slicePair(), async () => {
    await new Promise((resolve) => setImmediate(resolve));
    order.push("written");
  });
  await assert.rejects(copying, StagingFault);
  assert.deepEqual(order, ["written"]);
});
