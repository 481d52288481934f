/** What recovery makes of the end of the log: what it writes again, cuts, keeps, and calls damage. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { crc32 } from "../../src/format/checksum.js";
import { recoverImage } from "../support/checkpoint-life.js";
import { isMutating } from "../support/file-operation.js";
import {
  fileOf,
  flipped,
  hostOf,
  imageOf,
  manifestOf,
  type StoreImage,
  segmentPathOf,
  withFile,
} from "../support/store-image.js";
import { type BuiltStore, buildStore, richLife } from "../support/store-life.js";

const lastOf = <T>(items: readonly T[]): T => items.at(-1) as T;

/** The highest version in the sealed segments. */
function highestSealed(built: BuiltStore): number {
  const frames = built.sealed.flatMap((listed) => built.frames.get(listed) ?? []);
  return Math.max(...frames.flatMap(({ records }) => records.map(({ version }) => version)));
}

/** The image with its active segment as `edit` makes it. */
function withActive(built: BuiltStore, edit: (bytes: Uint8Array) => Uint8Array | undefined) {
  const path = segmentPathOf(built.active);
  return withFile(built.image, path, edit(fileOf(built.image, path)));
}

/** Recovery of an image, and what it wrote. */
async function mended(image: StoreImage, built: BuiltStore) {
  const host = hostOf(image, built.clock);
  const activePath = segmentPathOf(built.active);
  const trace: string[] = [];
  host.files.onOperation = ({ op, path, position = 0, lengthBytes = 0 }) => {
    // The directories are synced before the manifest is read.
    if (isMutating(op) && (path === activePath || trace.length > 0))
      trace.push(op === "write" ? `write ${position}+${lengthBytes}` : op);
    return undefined;
  };
  const { found, open, damage } = await recoverImage(image, built.clock, {}, host);
  const { active } = found;
  const bytes = imageOf(host.files).get(activePath) ?? new Uint8Array(0);
  if (active?.file !== undefined) {
    // Bytes that were damaged since the close are not those that were synced.
    const { clean } = manifestOf(image);
    const isAsClosed = BigInt(bytes.length) === clean?.syncedLength;
    const checksum = isAsClosed ? clean?.syncedChecksum : crc32(bytes);
    assert.deepEqual([active.length, active.checksum], [bytes.length, checksum]);
  }
  const log = host.log.lines.filter(({ level }) => level === "warn").length;
  return { found, open, trace, damage: damage.toStats(), log };
}

test("R1 V8 V1: after a crash all from the last BARRIER on is written again, and what is torn is cut; all of it is synced", async () => {
  const built = await buildStore(richLife, "killed");
  const frames = built.frames.get(built.active) ?? [];
  const barrier = lastOf(frames.filter(({ isBarrier }) => isBarrier)).offset;
  const { length } = fileOf(built.image, segmentPathOf(built.active));
  assert.ok(barrier > 0 && barrier < length);
  const again = `write ${barrier}+${length - barrier}`;
  const sound = await mended(built.image, built);
  assert.deepEqual(sound.trace, [again, "syncData", "syncDirectory"]);
  assert.deepEqual(
    [sound.open.bytesWrittenAgain, sound.open.tornBytesCut, sound.log, sound.found.sealFirst],
    [length - barrier, 0, 0, false],
  );
  assert.equal(sound.open.wasClean, false);
  const torn = withActive(built, (bytes) => Buffer.concat([bytes, new Uint8Array(9)]));
  const cut = await mended(torn, built);
  assert.deepEqual(cut.trace, [again, "truncate", "syncData", "syncDirectory"]);
  assert.deepEqual(
    [cut.open.bytesWrittenAgain, cut.open.tornBytesCut, cut.log, cut.found.sealFirst],
    [length - barrier, 9, 1, false],
  );
});

test("R11 R2 P5: after a clean close nothing is written, and of a longer file the rest is cut", async () => {
  const built = await buildStore(richLife, "closed");
  const sound = await mended(built.image, built);
  assert.deepEqual([sound.trace, sound.found.sealFirst, sound.damage], [[], false, []]);
  const longer = withActive(built, (bytes) => Buffer.concat([bytes, new Uint8Array(9)]));
  const cut = await mended(longer, built);
  assert.deepEqual(cut.trace, ["truncate", "syncData", "syncDirectory"]);
  assert.deepEqual([cut.open.bytesWrittenAgain, cut.open.tornBytesCut], [0, 9]);
  assert.deepEqual([cut.found.sealFirst, cut.damage], [false, []]);
});

test("R2 V13: the log's end that a clean close had and is not there any more is damage, and that segment is sealed", async () => {
  const built = await buildStore(richLife, "closed");
  const { length } = fileOf(built.image, segmentPathOf(built.active));
  const last = Number(manifestOf(built.image).clean?.lastVersion);
  const below = highestSealed(built);
  const told = (offset: number, missing: number) => ({
    file: segmentPathOf(built.active).split("/").at(-1),
    ...{ offset, length: missing, firstVersion: below + 1, lastVersion: last, keysUnknown: true },
  });
  const gone = await mended(
    withActive(built, () => undefined),
    built,
  );
  assert.deepEqual(gone.damage, [told(0, length)]);
  assert.ok(gone.found.sealFirst);
  const firstFrame = (built.frames.get(built.active) ?? [])[0]?.length ?? 0;
  const cut = await mended(
    withActive(built, (bytes) => bytes.subarray(0, firstFrame)),
    built,
  );
  assert.deepEqual(cut.damage, [told(firstFrame, length - firstFrame)]);
  assert.ok(cut.found.sealFirst);
  // Damage inside, and nothing sound behind it: it ends with the last version there was.
  const { offset } = lastOf(built.frames.get(built.active) ?? []);
  const inside = await mended(
    withActive(built, (bytes) => flipped(bytes, (offset + 2) * 8)),
    built,
  );
  assert.deepEqual([inside.damage[0]?.offset, inside.damage[0]?.lastVersion], [offset, last]);
  assert.equal(inside.found.sealFirst, false);
});

test("V13: a log's end that is missing after a crash may have had any version below the mark", async () => {
  const built = await buildStore(richLife, "killed");
  const { damage, found } = await mended(
    withActive(built, () => undefined),
    built,
  );
  const [range] = damage;
  const { firstVersion, lastVersion, length } = range ?? {};
  const mark = Number(manifestOf(built.image).versionMark);
  assert.deepEqual([firstVersion, lastVersion, length], [highestSealed(built) + 1, mark - 1, 1]);
  assert.ok(found.sealFirst);
});

test("V13 R2: a log's end that the disk cannot read is kept, and that segment is sealed", async () => {
  const built = await buildStore(richLife, "killed");
  const path = segmentPathOf(built.active);
  const host = hostOf(built.image, built.clock);
  host.files.onOperation = (operation) =>
    operation.op === "read" && operation.path === path ? "fail" : undefined;
  const { found, open, damage } = await recoverImage(built.image, built.clock, {}, host).catch(
    (error: unknown) => assert.fail(String(error)),
  );
  assert.ok(found.sealFirst);
  assert.deepEqual([open.tornBytesCut, damage.count], [0, 1]);
  assert.deepEqual(imageOf(host.files).get(path), fileOf(built.image, path));
});
