/** A first write that the log cannot be made ready for is rejected, not tried for ever. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { openStore } from "../../src/engine/open-store.js";
import { simHost } from "../support/sim-host.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("D6 V11: a large write behind a mere observation is rejected when the manifest cannot be written", async () => {
  const host = simHost({ seed: 1 });
  const options = { dataDir: "/store", segmentBytesMax: 1 << 20, liftFloors: true };
  const store = await openStore({ ...options, diskReserveBytes: 0 }, host);
  let attempts = 0;
  host.files.onOperation = ({ op, path }) => {
    if (op !== "create" || !path.endsWith("MANIFEST.tmp")) return undefined;
    attempts += 1;
    // Past the bound the disk works again, so that a broken queue ends, and the count tells.
    return attempts < 100 ? "fail" : undefined;
  };
  const never = { kind: "never" } as const;
  await assert.rejects(store.set(bytes("a"), bytes("1"), never), /WRITE_FAILED/);
  const absent = store.delete(bytes("absent"));
  const large = store.set(bytes("large"), new Uint8Array(300_000), never);
  await assert.rejects(large, /WRITE_FAILED/);
  assert.equal((await absent).deleted, false);
  assert.ok(attempts < 10, `${attempts} attempts`);
  host.files.onOperation = undefined;
  await store.close();
});
