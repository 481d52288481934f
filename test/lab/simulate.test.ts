/** The simulation repeats itself, does enough in every seed, and finds what is broken. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { Latch } from "../../src/engine/latch.js";
import { LocalStore } from "../../src/engine/local-store.js";
import { LogReaders } from "../../src/engine/log-readers.js";
import { Publisher } from "../../src/engine/publisher.js";
import { RequestMemory } from "../../src/engine/requests/request-memory.js";
import { UndoList } from "../../src/engine/snapshots/undo-list.js";
import type { PendingEntry } from "../../src/engine/write-op.js";
import { SimDirectory, SimInode } from "../support/sim-disk.js";
import { SimFile } from "../support/sim-file.js";
import { SimFileSystem } from "../support/sim-file-system.js";
import { simulate, simulateInstrument } from "./simulate/instrument.js";

/** Seeds that a break may take to be found; most take one or two. */
const seedsMax = 60;

test("a seed of the simulation repeats exactly, and another one is another run", async () => {
  const once = await simulate(3);
  const again = await simulate(3);
  assert.deepEqual(again, once);
  const other = await simulate(4);
  assert.notEqual(other.hash, once.hash);
  for (const { counts } of [once, other]) {
    assert.ok((counts["operations"] ?? 0) >= 200);
    assert.ok((counts["crashes"] ?? 0) + (counts["kills"] ?? 0) >= 1);
    assert.ok((counts["compactions"] ?? 0) >= 1);
  }
});

test("what all seeds together fell short of is told", () => {
  const { shortcomings } = simulateInstrument;
  assert.ok((shortcomings?.({}) ?? []).length > 0);
});

/** Each breaks one promise. */
const breaks: Record<string, (method: typeof test.mock.method) => void> = {
  "V1 D1: a disk that says it has synced, and has not": (method) => {
    method(SimInode.prototype, "sync", () => undefined);
  },
  "D2: a directory that says it has synced, and has not": (method) => {
    method(SimDirectory.prototype, "sync", () => undefined);
  },
  "V10 D3: a store that goes on after a failed sync": (method) => {
    method(Latch.prototype, "close", () => undefined);
  },
  "V2: a write that never comes into the index": (method) => {
    const publish = Publisher.prototype.publish;
    let published = 0;
    method(Publisher.prototype, "publish", function (this: Publisher, entry: PendingEntry) {
      published += 1;
      if (published % 50 !== 0) publish.call(this, entry);
    });
  },
  "R7: a store that knows no request any more when it is opened again": (method) => {
    method(RequestMemory.prototype, "load", () => undefined);
  },
  "V15: a watch that goes on behind what is compacted, or was lost": (method) => {
    method(LogReaders.prototype, "requireComplete", () => undefined);
  },
  "an upload that leaves its file": (method) => {
    method(SimFileSystem.prototype, "removeSlowly", () => Promise.resolve());
  },
  "I9: a snapshot that knows nothing of what was replaced": (method) => {
    method(UndoList.prototype, "add", () => undefined);
  },
};

/** Each breaks one promise, of which the finding must speak. */
const toldBreaks: typeof breaks = {
  "V4 P1: a lock that everybody gets": (method) => {
    const lock = { release: () => Promise.resolve() };
    method(SimFileSystem.prototype, "lock", () => Promise.resolve(lock));
  },
  "V12: an error that tells its key": (method) => {
    const set = LocalStore.prototype.set;
    method(
      LocalStore.prototype,
      "set",
      function (this: LocalStore, ...args: Parameters<typeof set>): ReturnType<typeof set> {
        return set.apply(this, args).catch((error: unknown) => {
          if (!(error instanceof KvixError)) throw error;
          throw new KvixError(error.reason, Buffer.from(args[0]).toString());
        });
      },
    );
  },
  "M11 V11: a file that is closed, and keeps its descriptor": (method) => {
    method(SimFile.prototype, "closeSync", () => undefined);
  },
};

for (const [name, breakIt] of Object.entries({ ...breaks, ...toldBreaks })) {
  test(`the simulation finds ${name}`, async (t) => {
    breakIt(t.mock.method.bind(t.mock));
    for (let seed = 1; seed <= seedsMax; seed += 1) {
      const found = await simulate(seed).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (found === undefined) continue;
      const id = name.split(/[ :]/)[0] as string;
      if (name in toldBreaks) assert.match(String(found), new RegExp(`${id}\\b`));
      return;
    }
    assert.fail(`${seedsMax} seeds have not found it`);
  });
}
