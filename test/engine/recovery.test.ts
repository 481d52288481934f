/** What recovery answers, asked directly: of hints, of frames, of a checkpoint, of the end of the log. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { DamagedRangeSchema, SegmentState, VersionRangeSchema } from "../../gen/kvix/v1/kvix_pb.js";
import {
  openChecked,
  recoverImage,
  rowsOf,
  withoutCheckpoint,
} from "../support/checkpoint-life.js";
import { simHost } from "../support/sim-host.js";
import {
  fileOf,
  flipped,
  hintPathOf,
  hostOf,
  imageOf,
  manifestOf,
  type StoreImage,
  segmentPathOf,
  withFile,
  withManifest,
  withoutHints,
} from "../support/store-image.js";
import {
  type BuiltStore,
  buildStore,
  bytesOf,
  describe,
  put,
  richLife,
  setOf,
} from "../support/store-life.js";

const lastOf = <T>(items: readonly T[]): T => items.at(-1) as T;
const warnings = ({ host }: Awaited<ReturnType<typeof recoverImage>>): number =>
  host.log.lines.filter(({ level }) => level === "warn").length;

/** The highest version in the segments for which `keep` holds. */
function highestIn(built: BuiltStore, keepActive: boolean): number {
  const segments = [...built.sealed, ...(keepActive ? [built.active] : [])];
  const frames = segments.flatMap((listed) => built.frames.get(listed) ?? []);
  return Math.max(...frames.flatMap(({ records }) => records.map(({ version }) => version)));
}

/** The image with its active segment as `edit` makes it. */
function withActive(built: BuiltStore, edit: (bytes: Uint8Array) => Uint8Array | undefined) {
  const path = segmentPathOf(built.active);
  return withFile(built.image, path, edit(fileOf(built.image, path)));
}

test("R7 I8: hints give what frames give: keys, versions past 2^32, deadlines, times and requests", async () => {
  const first = await buildStore(richLife, "closed");
  const image = withManifest(first.image, (manifest) => {
    manifest.versionMark = 2n ** 33n + 2n ** 20n;
    if (manifest.clean !== undefined) manifest.clean.lastVersion = 2n ** 33n;
  });
  const host = hostOf(image, first.clock);
  const store = await openChecked(host);
  for (let turn = 0; turn < 3; turn += 1) {
    const requestId = bytesOf(`this is request ${turn}`);
    await store.commit([setOf("a", `${turn}`.repeat(60))], { requestId });
    const expiry = { kind: "at", atMs: host.clock.wallMs() + 3_333_333_333 + turn } as const;
    await store.set(bytesOf(`t${turn}`), bytesOf("1".repeat(150)), expiry);
  }
  await store.hintsWritten();
  const built = describe(imageOf(host.files), host.clock);
  const [byHints, byFrames] = [
    await recoverImage(built.image, built.clock),
    await recoverImage(withoutHints(built.image), built.clock),
  ];
  assert.deepEqual(rowsOf(byHints.found.keydir), rowsOf(byFrames.found.keydir));
  assert.ok(highestIn(built, false) > 2 ** 33);
  assert.deepEqual([byHints.requests.count, byFrames.requests.count], [3, 3]);
  for (const key of ["newestTimestampMs", "nextVersion", "sealFirst", "lostRange"] as const) {
    assert.deepEqual(byHints.found[key], byFrames.found[key], key);
  }
  const sealed = built.sealed.length;
  const activeBytes = fileOf(built.image, segmentPathOf(built.active)).length;
  const sealedBytes = built.sealed.reduce((sum, { length }) => sum + Number(length), 0);
  const counts = ({ open }: typeof byHints) => [
    open.segmentsFromHints,
    open.segmentsScanned,
    open.bytesScanned,
  ];
  assert.deepEqual(counts(byHints), [sealed, 1, activeBytes]);
  assert.deepEqual(counts(byFrames), [0, sealed + 1, sealedBytes + activeBytes]);
  assert.deepEqual(
    [byHints.found.withoutHint.length, byFrames.found.withoutHint.length],
    [0, sealed],
  );
  // A hint that is missing is no news; one that is damaged is.
  assert.equal(warnings(byFrames), 0);
  const hint = hintPathOf(lastOf(built.sealed));
  const doubtful = withFile(built.image, hint, flipped(fileOf(built.image, hint), 50));
  assert.equal(warnings(await recoverImage(doubtful, built.clock)), 1);
});

test("T6: the newest time is found wherever it lies: under a hint, in frames, in the log's end, in the clean mark", async () => {
  /** The newest frame is the first one, or the last. */
  const life =
    (stepMs: number) =>
    async (store: Parameters<typeof put>[0], host: ReturnType<typeof simHost>) => {
      for (const key of ["a", "b", "c", "d"]) {
        await put(store, key, "1".repeat(100));
        host.clock.stepWall(stepMs);
      }
    };
  for (const stepMs of [-1000, 1000]) {
    const built = await buildStore(life(stepMs), "killed");
    assert.ok(built.sealed.length > 0);
    const newestMs = stepMs < 0 ? built.clock.wallMs() + 4000 : built.clock.wallMs() - 1000;
    for (const image of [built.image, withoutHints(built.image)]) {
      const { found } = await recoverImage(image, built.clock);
      assert.equal(found.newestTimestampMs, newestMs, `${stepMs}`);
    }
  }
  const closed = await buildStore(life(1000), "closed");
  for (const [newest, expected] of [
    [0n, closed.clock.wallMs() - 1000],
    [BigInt(closed.clock.wallMs() + 77) * 1_000_000n, closed.clock.wallMs() + 77],
  ] as const) {
    const image = withManifest(closed.image, ({ clean }) => {
      if (clean !== undefined) clean.newestTimestamp = newest;
    });
    const { found } = await recoverImage(image, closed.clock);
    assert.equal(found.newestTimestampMs, expected);
  }
});

test("V15: after a crash the next version lies at the mark, or above all that is there, and what lies between is lost", async () => {
  const built = await buildStore(richLife, "killed");
  const mark = Number(manifestOf(built.image).versionMark);
  const of = async (image: StoreImage) => {
    const { nextVersion, lostRange } = (await recoverImage(image, built.clock)).found;
    return { nextVersion, lostRange };
  };
  const highest = highestIn(built, true);
  const lost = (first: number, last: number) => ({ first, last });
  assert.deepEqual(await of(built.image), {
    nextVersion: mark,
    lostRange: lost(highest + 1, mark - 1),
  });
  // Nothing is left of the log's end: what the sealed segments have is not lost.
  const below = highestIn(built, false) + 1;
  const cut = withActive(built, () => new Uint8Array(0));
  assert.deepEqual(await of(cut), { nextVersion: mark, lostRange: lost(below, mark - 1) });
  // What was lost before, and what a compaction took out of the log, is not lost again.
  const known = [3n, 2n, 1n].map((before) => {
    const version = BigInt(mark) - 10n * before;
    return create(VersionRangeSchema, { first: version, last: version });
  });
  const lostBefore = withManifest(cut, ({ lostRanges }) => void lostRanges.push(...known));
  assert.deepEqual((await of(lostBefore)).lostRange, lost(mark - 9, mark - 1));
  const compacted = withManifest(cut, (manifest) => {
    manifest.historyFloor = BigInt(mark - 5);
  });
  assert.deepEqual((await of(compacted)).lostRange, lost(mark - 4, mark - 1));
  const all = withManifest(cut, (manifest) => {
    manifest.historyFloor = BigInt(mark - 1);
  });
  assert.equal((await of(all)).lostRange, undefined);
  // A mark that frames have passed is not believed.
  const low = withManifest(built.image, (manifest) => {
    manifest.versionMark = BigInt(highest);
  });
  assert.deepEqual(await of(low), { nextVersion: highest + 1, lostRange: undefined });
});

test("V15: after a clean close the next version follows the last one, and none is lost", async () => {
  for (const withIndex of [true, false]) {
    const { image, clock, highest } = await checkpointed();
    const closed = (lastVersion: number) =>
      withManifest(withIndex ? image : withoutCheckpoint(image), ({ clean }) => {
        if (clean !== undefined) clean.lastVersion = BigInt(lastVersion);
      });
    // Versions that were given and not used; and a mark that sealed segments have passed.
    for (const [last, next] of [
      [highest + 5, highest + 6],
      [1, highest + 1],
    ] as const) {
      const { found, open } = await recoverImage(closed(last), clock);
      assert.equal(open.fromCheckpoint, withIndex);
      assert.deepEqual([found.nextVersion, found.lostRange], [next, undefined]);
    }
  }
});

/** A store that was closed with a checkpoint. */
async function checkpointed() {
  const host = simHost({ seed: 7 });
  const store = await openChecked(host);
  await richLife(store, host);
  await store.hintsWritten();
  await store.close();
  const built = describe(imageOf(host.files), host.clock);
  return { ...built, highest: highestIn(built, true) };
}

/** A damaged range of the first sealed segment, as the manifest has it. */
const rangeIn = ({ sealed: [listed] }: BuiltStore, first = 1n) =>
  create(DamagedRangeSchema, {
    segmentId: listed?.id ?? 0,
    segmentTimestamp: listed?.timestamp ?? 0n,
    offset: 10n * first,
    length: 5n,
    versions: create(VersionRangeSchema, { first, last: first }),
  });

test("R7 I8: with a checkpoint no segment is read, and a hint that is missing is still told", async () => {
  const built = await checkpointed();
  const { image, clock, sealed } = built;
  const { found, open } = await recoverImage(image, clock);
  assert.deepEqual(
    [open.fromCheckpoint, open.wasClean, open.segmentsFromHints, open.segmentsScanned],
    [true, true, 0, 0],
  );
  assert.deepEqual(
    [found.withoutHint, found.sealFirst, found.keydir.count],
    [[], false, open.entriesLoaded],
  );
  const { found: slow } = await recoverImage(withoutCheckpoint(image), clock);
  assert.deepEqual(rowsOf(found.keydir), rowsOf(slow.keydir));
  const hint = hintPathOf(sealed[1] as (typeof sealed)[number]);
  const without = await recoverImage(withFile(image, hint), clock);
  assert.deepEqual(
    without.found.withoutHint.map(({ name }) => name.hintPath),
    [hint],
  );
});

test("V13: damage that the manifest knows is known, is saved, and refuses a strict opening, with a checkpoint and without", async () => {
  const built = await checkpointed();
  for (const sound of [built.image, withoutCheckpoint(built.image)]) {
    await recoverImage(sound, built.clock, { recovery: "strict" });
    const image = withManifest(sound, ({ damagedRanges }) => {
      for (let range = 1n; range <= 9n; range += 1n) damagedRanges.push(rangeIn(built, range));
    });
    const { damage } = await recoverImage(image, built.clock);
    assert.deepEqual([damage.count, damage.hasUnsaved], [9, false]);
    const refused = recoverImage(image, built.clock, { recovery: "strict" });
    await assert.rejects(refused, (error: Error & { reason?: string; metadata?: object }) => {
      assert.equal(error.reason, "STORE_DAMAGED");
      assert.deepEqual(error.metadata, { damaged_ranges: 9 });
      // Not all of what may be thousands.
      assert.equal(error.message.match(/ at \d+, 5 bytes, versions \d to \d/g)?.length, 8);
      return true;
    });
  }
});

test("V13: damage that a hint alone knows is known, and is news", async () => {
  const built = await buildStore(richLife, "killed");
  const [listed] = built.sealed as [BuiltStore["active"]];
  const path = segmentPathOf(listed);
  const damaged = withFile(
    withFile(built.image, path, flipped(fileOf(built.image, path), 25 * 8)),
    hintPathOf(listed),
  );
  const host = hostOf(damaged, built.clock);
  const store = await openChecked(host);
  await store.hintsWritten();
  const ranges = store.stats().damage;
  assert.equal(ranges.length, 1);
  const image = imageOf(host.files);
  assert.deepEqual(manifestOf(image).damagedRanges, []);
  const { damage, found } = await recoverImage(image, built.clock);
  assert.deepEqual(damage.toStats(), ranges);
  assert.deepEqual([damage.hasUnsaved, found.withoutHint.length], [true, 0]);
});

test("V13: a sealed segment that is short or missing is damage; its keys are known if its hint is there", async () => {
  const built = await buildStore(richLife, "killed");
  const listed = built.sealed[1] as BuiltStore["active"];
  const path = segmentPathOf(listed);
  const bytes = fileOf(built.image, path);
  for (const left of [undefined, 40]) {
    for (const hasHint of [true, false]) {
      const cut = withFile(
        hasHint ? built.image : withFile(built.image, hintPathOf(listed)),
        path,
        left === undefined ? undefined : bytes.subarray(0, left),
      );
      const { damage, found } = await recoverImage(cut, built.clock);
      const offset = left ?? 0;
      const range = damage.toStats().find((each) => each.offset === offset);
      const { lowestVersion, highestVersion } = listed;
      assert.deepEqual(range, {
        file: path.split("/").at(-1),
        offset,
        length: bytes.length - offset,
        firstVersion: Number(lowestVersion),
        lastVersion: Number(highestVersion),
        keysUnknown: !hasHint,
      });
      const isToBeWritten = !hasHint && left !== undefined;
      assert.equal(found.withoutHint.length, isToBeWritten ? 1 : 0);
    }
  }
});

test("V13 V3: of a sealed segment that has grown, what is damaged ends where the segment does", async () => {
  const built = await buildStore(richLife, "killed");
  const listed = built.sealed[0] as BuiltStore["active"];
  const path = segmentPathOf(listed);
  const bytes = fileOf(built.image, path);
  const last = lastOf(built.frames.get(listed) ?? []);
  const damaged = flipped(bytes, (last.offset + 2) * 8);
  const grown = Buffer.concat([damaged, new Uint8Array(500)]);
  const { damage } = await recoverImage(
    withFile(withoutHints(built.image), path, grown),
    built.clock,
  );
  const [range] = damage.toStats();
  assert.deepEqual([range?.offset, range?.length], [last.offset, last.length]);
});

test("a segment that was compacted is none of the log, and every other one is", async () => {
  const built = await buildStore(richLife, "killed");
  const image = withManifest(built.image, ({ segments }) => {
    const [first] = segments;
    if (first !== undefined) first.state = SegmentState.COMPACTED;
  });
  const { segments } = await recoverImage(image, built.clock);
  const inLog = Array.from(segments, ({ isLog }) => isLog);
  assert.deepEqual(inLog, [false, ...built.sealed.slice(1).map(() => true), true]);
  assert.deepEqual(
    Array.from(segments, ({ isSealed }) => isSealed),
    [...built.sealed.map(() => true), false],
  );
});

test("V13 R11: a segment that cannot be opened fails the opening: it is not missing", async () => {
  const built = await buildStore(richLife, "killed");
  for (const listed of [built.sealed[0], built.active]) {
    const host = hostOf(built.image, built.clock);
    const path = segmentPathOf(listed as BuiltStore["active"]);
    host.files.onOperation = (operation) =>
      operation.op === "open" && operation.path === path ? "fail" : undefined;
    await assert.rejects(recoverImage(built.image, built.clock, {}, host), { code: "EIO" });
  }
});
