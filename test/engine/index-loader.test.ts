/** Filling the index at an opening: whatever the order, the newest of each key, and the figures of segments. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { IndexLoader, type LoadedEntry } from "../../src/engine/index-loader.js";
import { Keydir, NO_ENTRY } from "../../src/engine/keydir/keydir.js";
import { RequestMemory } from "../../src/engine/requests/request-memory.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SegmentSet } from "../../src/storage/segment-set.js";

const directories = { data: "/store", segments: "/store/segments" };

function setUp(bytesMax = Number.MAX_SAFE_INTEGER) {
  const seed = new Uint8Array(16);
  const keydir = new Keydir({ seed });
  const set = new SegmentSet();
  const segments = [0, 1].map((id) => {
    const name = new SegmentName(directories, seed, "segment", id, BigInt(id + 1));
    const segment = new Segment(name, undefined, true);
    set.add(segment);
    return segment;
  });
  const requests = new RequestMemory({ seed, monotonicMs: () => 0, retentionMs: 0 });
  const loader = new IndexLoader(keydir, set, bytesMax, requests);
  const segmentAt = (id: number): Segment => segments[id] as Segment;
  const load = (
    key: string,
    version: number,
    more: Partial<LoadedEntry> & { id?: number } = {},
  ) => {
    const { id = 0, ...rest } = more;
    const source = new TextEncoder().encode(`<${key}>`);
    loader.load(segmentAt(id), {
      ...{ source, keyStart: 1, keyEnd: 1 + key.length, offset: version * 100, length: 40 },
      ...{ version, expiresAtMs: 0, isTombstone: false, isLost: false },
      ...rest,
    });
    // One array for all entries: the loader keeps nothing of it.
    source.fill(0);
  };
  const found = (key: string): string => {
    const entry = keydir.find(Buffer.from(key));
    if (entry === NO_ENTRY) return "none";
    const place = `${keydir.segmentOf(entry)}:${keydir.offsetOf(entry)}`;
    return `${keydir.versionOf(entry)} at ${place}`;
  };
  const figures = (id: number): number[] => {
    const { liveBytes, tombstoneBytes, highestTombstone, lowestVersion, highestVersion } =
      segmentAt(id);
    return [liveBytes, tombstoneBytes, highestTombstone, lowestVersion, highestVersion];
  };
  return { keydir, loader, load, found, figures, requests, segmentAt };
}

test("V5 V6: the highest version of a key counts, in every order, and a tombstone hides what is older", () => {
  const steps: ((load: ReturnType<typeof setUp>["load"]) => void)[] = [
    (load) => load("a", 3),
    (load) => load("a", 5, { id: 1 }),
    (load) => load("b", 4),
    (load) => load("b", 6, { id: 1, isTombstone: true, length: 30 }),
    (load) => load("c", 8, { isTombstone: true, length: 30 }),
    (load) => load("c", 9, { id: 1, expiresAtMs: 77 }),
  ];
  for (const order of [steps, steps.toReversed()]) {
    const { keydir, loader, load, found, figures } = setUp();
    for (const step of order) step(load);
    loader.finish();
    assert.deepEqual(["a", "b", "c"].map(found), ["5 at 1:500", "none", "9 at 1:900"]);
    assert.deepEqual([keydir.count, loader.entries, keydir.expiring], [2, 6, 1]);
    assert.deepEqual(figures(0), [0, 30, 8, 3, 8]);
    assert.deepEqual(figures(1), [80, 30, 6, 5, 9]);
  }
});

test("R3 V13: what is lost and may be a guess withholds no record of its version that lies whole elsewhere", () => {
  const { loader, load, found, figures } = setUp();
  load("a", 5, { isLost: true });
  load("a", 5, { id: 1 });
  load("b", 7, { id: 1 });
  load("b", 8, { isLost: true });
  loader.finish();
  assert.deepEqual(["a", "b"].map(found), ["5 at 1:500", "8 at 0:800"]);
  assert.deepEqual([figures(0)[0], figures(1)[0]], [40, 40]);
  assert.equal(loader.entries, 4);
});

test("tombstones are found until all is loaded, and what comes in pieces is one", () => {
  const { loader, load, found } = setUp();
  load("a", 3);
  load("b", 4, { isLost: true });
  loader.flush();
  assert.deepEqual(["a", "b"].map(found), ["3 at 0:300", "4 at 0:400"]);
  load("a", 5, { isTombstone: true });
  loader.flush();
  assert.equal(found("a"), "5 at 0:500");
  loader.finish();
  assert.deepEqual(["a", "b"].map(found), ["none", "4 at 0:400"]);
});

test("V11: an index that does not fit is refused with what it needs, and that is enough", () => {
  const fill = (bytesMax: number, tombstones = 0) => {
    const rig = setUp(bytesMax);
    for (let index = 0; index < 2000; index += 1) {
      rig.load(`key ${index}`, index + 1, { isTombstone: index < tombstones });
    }
    rig.loader.finish();
    return rig;
  };
  const needed = fill(Number.MAX_SAFE_INTEGER).keydir.bytes;
  assert.equal(fill(needed).keydir.count, 2000);
  // What tombstones took while they were loaded is given back before that is judged.
  const deleted = fill(Number.MAX_SAFE_INTEGER, 1990);
  while (deleted.keydir.maintain());
  const few = deleted.keydir.bytes;
  assert.ok(few < needed);
  assert.equal(fill(few, 1990).keydir.count, 10);
  assert.throws(
    () => fill(needed - 1),
    (error: KvixError) => {
      assert.ok(error instanceof KvixError);
      assert.equal(error.reason, "INDEX_LIMIT_TOO_SMALL");
      assert.deepEqual(error.metadata, {
        ...{ needed_bytes: needed, limit_bytes: needed - 1, keys: 2000 },
      });
      return true;
    },
  );
});

test("R7: requests are remembered where they lie, and need nobody to remember them", () => {
  const { loader, requests, segmentAt } = setUp();
  loader.loadRequest(segmentAt(1), { requestId: Buffer.from("an id"), offset: 100, length: 60 });
  assert.deepEqual([requests.count, segmentAt(1).requests], [1, 1]);
  const found = requests.find({ id: Buffer.from("an id"), name: "an id" } as never);
  assert.ok(found?.kind === "published");
  assert.deepEqual([found.segment, found.offset, found.length], [segmentAt(1), 100, 60]);
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const nobody = new IndexLoader(keydir, new SegmentSet(), 1e9);
  nobody.loadRequest(segmentAt(1), { requestId: Buffer.from("an id"), offset: 100, length: 60 });
});
