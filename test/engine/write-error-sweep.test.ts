/**
 * Mutating file operations of a store's life fail, once or for longer; then the power
 * goes, or the process alone. What was acknowledged as durable is there, what was said
 * not to be applied is not. A quick look: the lab's sweep is at every operation.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { eventfulLife } from "../support/crash-life.js";
import type { CrashRun } from "../support/crash-run.js";
import { ErrorSweep, writeErrors } from "../support/error-sweep.js";
import { liveOn } from "../support/live-on.js";

/** The life, up to where the store refuses to open or to close. */
async function life(run: CrashRun): Promise<void> {
  try {
    await eventfulLife(run);
  } catch (error) {
    assert.ok(error instanceof KvixError, `not a KvixError: ${String(error)}`);
    const expected = ["OPEN_FAILED", "SYNC_FAILED", "WRITE_FAILED", "NO_SPACE"];
    assert.ok(expected.includes(error.reason), error.message);
  }
}

test("V1 V8 D3 D6 B3: an error of a file operation, once or for longer, loses nothing acknowledged", async (t) => {
  const sweep = new ErrorSweep({ life, liveOn });
  const failures = await sweep.run({ kinds: writeErrors, stride: 3, kindsEach: 2 });
  assert.ok(failures > 100);
  t.diagnostic(`${failures} lives with an error`);
});
