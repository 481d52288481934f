/** What a store under steady load keeps alive: the bytes in flight, and no others. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openStore } from "../../src/engine/open-store.js";
import { nodeHost } from "../../src/host/node-host.js";

const MIB = 1_048_576;
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

// With little room calls wait in line; with much they are accepted while others are synced.
for (const inFlightMiB of [4, 64]) {
  test(`V11: a steady load keeps no value alive that it is done with, ${inFlightMiB} MiB in flight`, async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), "kvix-memory-"));
    t.after(() => rmSync(dataDir, { recursive: true, force: true }));
    const store = await openStore({ dataDir, inFlightBytesMax: inFlightMiB * MIB }, nodeHost());
    let written = 0;
    let mostBytes = 0;
    const writer = async (name: number): Promise<void> => {
      for (let round = 0; round < 25; round++) {
        const key = Buffer.from(`${name}-${round}`);
        await store.set(key, Buffer.alloc(MIB, round), { kind: "never" });
        written += 1;
        if (written % 50 !== 0) continue;
        // The first lets go of what is dead; by the second its bytes are counted off.
        collectGarbage();
        collectGarbage();
        mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers);
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, name) => writer(name)));
    await store.close();
    // 12 values are on their way, once as they came and once staged; some chunks are spare.
    assert.ok(mostBytes < 64 * MIB, `${Math.round(mostBytes / MIB)} MiB are kept`);
  });
}
