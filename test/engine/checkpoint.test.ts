/** Opening with the checkpoint of a clean close equals opening without it. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { inspect } from "node:util";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import {
  checkpointPath,
  checkpointTemporaryPath,
  closedImage,
  lastingFigures,
  openChecked,
  randomLife,
  recoveredFrom,
  withoutCheckpoint,
} from "../support/checkpoint-life.js";
import { compacted, onDemand, takingSome } from "../support/compaction-rig.js";
import type { SimClock } from "../support/sim-clock.js";
import { type SimHost, simHost } from "../support/sim-host.js";
import { SimRandom } from "../support/sim-random.js";
import {
  hintPathOf,
  hostOf,
  imageOf,
  manifestOf,
  type StoreImage,
  withFile,
  withManifest,
} from "../support/store-image.js";
import { bytesOf, put, smallStore } from "../support/store-life.js";
import { unpaced } from "../support/unpaced.js";

const HISTORIES = 40;

/** Opens an image with and without its checkpoint, and does the same with both. */
async function bothWays(
  image: StoreImage,
  clock: SimClock,
  act: (store: LocalStore, host: SimHost) => Promise<unknown>,
): Promise<void> {
  const outcomes: unknown[] = [];
  for (const each of [image, withoutCheckpoint(image)]) {
    const startMs = clock.wallMs();
    const host = simHost({ seed: 3, files: hostOf(each).files });
    host.clock.stepWall(startMs - host.clock.wallMs());
    const store = await openChecked(host);
    assert.equal(store.stats().open.fromCheckpoint, each === image);
    const answer = await act(store, host);
    outcomes.push({ answer, figures: lastingFigures(store.stats()), segments: store.segments() });
    await store.close();
  }
  assert.deepEqual(outcomes[0], outcomes[1]);
}

async function everything(store: LocalStore): Promise<string[]> {
  const { records } = await store.list({});
  return records.map((record) => inspect(record));
}

test("I8 D5 R7: with its checkpoint a store is recovered as without it, over random histories", async (t) => {
  let keys = 0;
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const random = new SimRandom(seed);
    const { image, clock } = await closedImage(random, 10 + random.below(90));
    const fast = await recoveredFrom(image, clock);
    const slow = await recoveredFrom(withoutCheckpoint(image), clock);
    assert.ok(fast.fromCheckpoint && !slow.fromCheckpoint, `history ${seed}`);
    assert.deepEqual(fast.state, slow.state, `history ${seed}`);
    for (const [index, exact] of fast.tombstones.entries()) {
      const fromHints = slow.tombstones[index];
      assert.ok(exact.tombstoneBytes >= (fromHints?.tombstoneBytes ?? 0), `history ${seed}`);
      assert.ok(exact.highestTombstone >= (fromHints?.highestTombstone ?? 0), `history ${seed}`);
    }
    keys += fast.state.index.length;
  }
  assert.ok(keys > HISTORIES * 4, `only ${keys} keys`);
  t.diagnostic(`${HISTORIES} histories, ${keys} keys`);
});

test("I8 M5 M10: with its checkpoint a store that was compacted is recovered as without it", async () => {
  let removed = 0;
  for (let seed = 1; seed <= HISTORIES / 2; seed++) {
    const random = new SimRandom(seed);
    const host = simHost({ seed });
    const options = { ...smallStore, ...onDemand };
    const seams = {
      checkpointKeysMin: 0,
      chooseVictims: takingSome(random),
      pacer: unpaced(host.clock),
    };
    for (let life = 0; life < 3; life++) {
      const store = await openStore(options, host, seams);
      const steps = random.below(40);
      for (let step = 0; step < steps; step++) {
        const key = bytesOf(`key${random.below(20)}`);
        if (random.chance(0.3)) await store.delete(key);
        else await store.set(key, bytesOf("v".repeat(random.below(60))), { kind: "never" });
        if (random.chance(0.2)) host.clock.stepWall(random.below(2000) - 1000);
        if (!random.chance(0.15)) continue;
        await store.hintsWritten();
        await compacted({ store });
      }
      // One that only compacts is a session like any other.
      await store.hintsWritten();
      await compacted({ store });
      const stats = store.stats();
      removed += stats.compaction.segmentsRemoved;
      // A clock that was set back pauses the sweep of the next opening alone.
      const figures = { ...lastingFigures(stats), sweepPausedBecause: "" };
      const facts = store.segments();
      await store.close();
      const image = imageOf(host.files);
      if (!image.has(checkpointPath)) continue;
      const fast = await recoveredFrom(image, host.clock);
      const slow = await recoveredFrom(withoutCheckpoint(image), host.clock);
      assert.ok(fast.fromCheckpoint && !slow.fromCheckpoint, `life ${life} of ${seed}`);
      assert.deepEqual(fast.state, slow.state, `life ${life} of ${seed}`);
      const again = await openStore(options, host, seams);
      assert.deepEqual(again.segments(), facts);
      const restored = { ...lastingFigures(again.stats()), sweepPausedBecause: "" };
      assert.deepEqual(restored, figures, `life ${life} of ${seed}`);
      await again.close();
    }
  }
  assert.ok(removed > 100, `${removed} were removed`);
});

test("I8 I9 T5: what is read, written, removed and expires after it is the same too", async () => {
  for (let seed = 100; seed < 100 + HISTORIES / 4; seed++) {
    const { image, clock } = await closedImage(new SimRandom(seed), 60);
    await bothWays(image, clock, async (store, host) => {
      const before = await everything(store);
      await store.delete(bytesOf("key3"));
      await put(store, "key5", "new");
      await store.set(bytesOf("soon"), bytesOf("1"), { kind: "ttl", ttlMs: 10 });
      // Long enough for the sweep to find all that has expired.
      await host.clock.advance(30_000);
      return { before, after: await everything(store), expired: store.stats().expired };
    });
  }
});

test("I8 I2: the newest timestamp is the same where the clock has gone back since", async () => {
  const host = simHost({ seed: 1 });
  const store = await openChecked(host);
  host.clock.stepWall(3_600_000);
  await put(store, "a", "1");
  host.clock.stepWall(-3_600_000);
  await store.close();
  const image = imageOf(host.files);
  const fast = await recoveredFrom(image, host.clock);
  const slow = await recoveredFrom(withoutCheckpoint(image), host.clock);
  assert.ok(fast.fromCheckpoint);
  assert.deepEqual(fast.state, slow.state);
  assert.ok(fast.state.newestTimestampMs >= host.clock.wallMs() + 3_599_000);
});

test("P5 R11: opened and closed without a write, a store keeps its files and its checkpoint", async () => {
  const { image, clock } = await closedImage(new SimRandom(2), 40);
  const host = hostOf(image, clock);
  for (let round = 0; round < 3; round++) {
    const store = await openChecked(host);
    assert.ok(store.stats().open.fromCheckpoint, `round ${round}`);
    await store.close();
    assert.deepEqual(imageOf(host.files), image);
  }
});

test("the first write withdraws the checkpoint and gives its space back", async () => {
  const { image, clock } = await closedImage(new SimRandom(4), 40);
  const host = hostOf(image, clock);
  const store = await openChecked(host);
  assert.ok(store.stats().open.fromCheckpoint);
  await put(store, "a", "1");
  const killed = imageOf(host.files);
  assert.ok(!killed.has(checkpointPath));
  assert.equal(manifestOf(killed).clean, undefined);
  await store.close();
  const next = await openChecked(host);
  assert.ok(next.stats().open.fromCheckpoint);
  await next.close();
});

test("a checkpoint that nothing names, and one that was only begun, go with the first write", async () => {
  const { image, clock } = await closedImage(new SimRandom(5), 20);
  const left = withFile(image, checkpointTemporaryPath, bytesOf("begun"));
  const unnamed = withManifest(left, (draft) => {
    delete draft.clean;
  });
  const host = hostOf(unnamed, clock);
  const store = await openStore(smallStore, host);
  const untouched = imageOf(host.files);
  assert.ok(untouched.has(checkpointPath) && untouched.has(checkpointTemporaryPath));
  await put(store, "a", "1");
  await store.close();
  const closed = imageOf(host.files);
  assert.ok(!closed.has(checkpointPath) && !closed.has(checkpointTemporaryPath));
});

test("V8 D5: after a close that was not clean a checkpoint does not count, also where one lies there", async () => {
  const { image, clock } = await closedImage(new SimRandom(6), 40);
  const host = hostOf(image, clock);
  const store = await openChecked(host);
  await put(store, "key1", "unclean");
  // The file of the last close, brought back: nothing names it.
  const killed = withFile(imageOf(host.files), checkpointPath, image.get(checkpointPath));
  const fast = await recoveredFrom(killed, clock);
  assert.ok(!fast.fromCheckpoint);
  assert.deepEqual(fast.state, (await recoveredFrom(withoutCheckpoint(killed), clock)).state);
  await store.close();
});

test("I8 V8: a checkpoint does not count when a segment is not as it was at the close", async () => {
  const { image, clock } = await closedImage(new SimRandom(8), 60);
  const manifest = manifestOf(image);
  assert.ok(manifest.segments.length > 2);
  const paths = [...image.keys()].filter((path) => path.endsWith(".seg")).sort();
  for (const path of paths) {
    const bytes = image.get(path) ?? new Uint8Array(0);
    const changes: (Uint8Array | undefined)[] = [bytes.slice(0, -1), undefined];
    // Behind a sealed segment nothing counts, behind the active one it does.
    if (path === paths.at(-1)) changes.push(Uint8Array.of(...bytes, 0));
    for (const change of changes) {
      const changed = withFile(image, path, change);
      const fast = await recoveredFrom(changed, clock);
      assert.ok(!fast.fromCheckpoint, path);
      assert.deepEqual(fast.state, (await recoveredFrom(withoutCheckpoint(changed), clock)).state);
    }
  }
  const forgotten = withManifest(image, (draft) => {
    draft.segments.shift();
  });
  assert.ok(!(await recoveredFrom(forgotten, clock)).fromCheckpoint);
});

test("R7: hints that are missing are written although a checkpoint was used", async () => {
  const { image, clock } = await closedImage(new SimRandom(9), 60);
  const [listed] = manifestOf(image).segments;
  assert.ok(listed);
  const path = hintPathOf(listed);
  assert.ok(image.has(path));
  const host = hostOf(withFile(image, path), clock);
  const store = await openChecked(host);
  assert.ok(store.stats().open.fromCheckpoint);
  await store.hintsWritten();
  await store.close();
  assert.ok(imageOf(host.files).has(path));
});

test("I8 P5: an index that the limit does not allow is refused with a checkpoint as without", async () => {
  const { image, clock } = await closedImage(new SimRandom(9), 60);
  const refuse = async (each: StoreImage): Promise<string> => {
    const host = hostOf(each, clock);
    return await openStore({ ...smallStore, indexBytesMax: 1 }, host).then(
      () => assert.fail("it was opened"),
      (error: Error) => error.message,
    );
  };
  assert.match(await refuse(image), /indexBytesMax is 1/);
  assert.match(await refuse(withoutCheckpoint(image)), /indexBytesMax is 1/);
});

test("a store of few keys is closed without a checkpoint", async () => {
  const host = simHost({ seed: 1 });
  const store = await openStore(smallStore, host);
  await put(store, "a", "1");
  await store.close();
  assert.ok(!imageOf(host.files).has(checkpointPath));
  const again = await openStore(smallStore, host);
  assert.equal(again.stats().open.fromCheckpoint, false);
  await again.close();
});

test("V12: the log says that a checkpoint was used, and neither keys nor the seed", async () => {
  const host = simHost({ seed: 12 });
  const store = await randomLife(host, new SimRandom(12), 40);
  await put(store, "last", "1");
  await store.close();
  const again = await openChecked(host);
  const lines = host.log.lines.map((line) => JSON.stringify(line));
  assert.ok(lines.some((line) => line.includes("the index was taken from the checkpoint")));
  assert.ok(!lines.some((line) => line.includes("key1") || line.includes("seed")));
  await again.close();
});
