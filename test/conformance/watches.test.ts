/** What happens to keys, wherever the store is. */
import assert from "node:assert/strict";
import type { KeyValueStore, WatchBatch, WatchOptions } from "../../src/index.js";
import { conforms, refusal } from "./suite.js";

/** A watch as a test reads it. */
function watching(store: KeyValueStore, options: WatchOptions) {
  const batches = store.watch(options);
  const next = async (): Promise<WatchBatch> => {
    const { value, done } = await batches.next();
    assert.notEqual(done, true, "the watch ended");
    return value as WatchBatch;
  };
  return {
    next,
    /** The next batch that tells of something. */
    events: async (): Promise<string[]> => {
      for (;;) {
        const { events } = await next();
        if (events.length > 0) {
          return events.map((event) =>
            [event.kind, event.keyText(), event.record?.text() ?? event.omission ?? ""].join(" "),
          );
        }
      }
    },
    leave: () => batches.return(undefined),
  };
}

conforms(
  "a watch tells of every change of its keys, in order, from when it was begun (G-CLIENT-1)",
  async ({ store }) => {
    await store.set("a/1", "before");
    const watch = watching(store, { prefix: "a/", progressIntervalMs: 100 });
    const first = await watch.next();
    assert.equal(first.isRestart, false);
    const set = await store.set("a/1", "x");
    await store.set("b/1", "not this one");
    assert.deepEqual(await watch.events(), ["set a/1 x"]);
    await store.delete("a/1");
    assert.deepEqual(await watch.events(), ["delete a/1 "]);
    await watch.leave();
    const again = watching(store, { prefix: "a/", afterVersion: set.version - 1, keysOnly: true });
    assert.equal((await again.events())[0], "set a/1 keys-only");
    await again.leave();
  },
);

conforms(
  "a watch of the current state tells what stands, and then what changes",
  async ({ store }) => {
    await store.set("a", "1", { ttlMs: 60_000 });
    await store.set("b", "2");
    const watch = watching(store, { includeCurrent: true });
    const standing: string[] = [];
    for (;;) {
      const batch = await watch.next();
      if (!batch.isCurrent) break;
      standing.push(...batch.events.map((event) => `${event.keyText()} ${event.record?.text()}`));
    }
    assert.deepEqual(standing, ["a 1", "b 2"]);
    await store.set("b", "3");
    assert.deepEqual(await watch.events(), ["set b 3"]);
    await watch.leave();
  },
);

conforms("a watch of one key, and one whose signal is aborted", async ({ store }) => {
  const given = new AbortController();
  const watch = watching(store, { key: "k", signal: given.signal });
  await watch.next();
  await store.set("kk", "other");
  const { version } = await store.set("k", "v");
  assert.deepEqual(await watch.events(), ["set k v"]);
  given.abort();
  await refusal(watch.next(), "CANCELLED");
  await refusal(watching(store, { key: "k", prefix: "k" }).next(), "FIELD_INVALID");
  const both = { afterVersion: version, includeCurrent: true };
  await refusal(watching(store, both).next(), "FIELD_INVALID");
});

conforms("a watch after a version that is not there yet is HISTORY_LOST", async ({ store }) => {
  await store.set("k", "v");
  await refusal(watching(store, { afterVersion: 2 ** 40 }).next(), "HISTORY_LOST");
});
