/**
 * Which damages there are of a store: all that a small one can have, or some of
 * a large one.
 *
 * Every bit and every length of every file is in it, in the modes in which the
 * file decides something; in the others, of the checkpoint, whose pages are mostly
 * zeros, and of temporary files it takes some.
 */
import type { SimRandom } from "../../support/sim-random.js";
import { fileOf } from "../../support/store-image.js";
import { type Damage, Damager, type FileKind, fileKindOf, pathsOf } from "./damage.js";
import type { RotMode, RotStore } from "./rot-store.js";

/** Of files that are not gone through, so many bits and as many lengths are taken. */
const SAMPLES = 24;
/** So that a file of a small store has more than one. */
const SMALL_PAGE_BYTES = 64;
/** What disks lose at a time. */
const PAGE_BYTES: readonly number[] = [512, 4096];

const segmentKinds: readonly FileKind[] = ["sealed segment", "compacted segment", "active segment"];

/** The files of which every bit and every length is a case. */
const exhaustive: Readonly<Record<RotMode, readonly FileKind[]>> = {
  // Reads go where the index points, whoever filled it.
  checkpoint: [],
  hints: [...segmentKinds, "hint", "manifest", "mark"],
  bare: segmentKinds,
  killed: ["active segment", "manifest", "manifest before"],
  "killed bare": ["active segment"],
};

/** Every damage of a small store, in an order that the random source determines. */
export function* smallDamages(store: RotStore, random: SimRandom): Generator<Damage> {
  const damager = new Damager(store);
  for (const path of pathsOf(store)) {
    yield* damager.whole(path, random);
    yield* bitsAndLengths(store, damager, path, random);
    yield* pages(store, damager, path, random);
  }
}

function* bitsAndLengths(
  store: RotStore,
  damager: Damager,
  path: string,
  random: SimRandom,
): Generator<Damage> {
  const { length } = fileOf(store.image, path);
  if (length === 0) return;
  if (exhaustive[store.mode].includes(fileKindOf(store, path))) {
    for (let bit = 0; bit < length * 8; bit += 1) yield damager.flip(path, bit);
    for (let left = 1; left < length; left += 1) yield damager.cut(path, left);
    return;
  }
  const written = writtenBytes(fileOf(store.image, path));
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    yield damager.flip(path, random.pick(written) * 8 + random.below(8));
    if (length > 1) yield damager.cut(path, 1 + random.below(length - 1));
  }
}

/** Where bytes are that somebody wrote: zeros that nobody reads are no test. All, if there are none. */
function writtenBytes(bytes: Uint8Array): readonly number[] {
  const all = Array.from(bytes.keys());
  const written = all.filter((at) => bytes[at] !== 0);
  return written.length === 0 ? all : written;
}

function* pages(
  store: RotStore,
  damager: Damager,
  path: string,
  random: SimRandom,
): Generator<Damage> {
  const bytes = fileOf(store.image, path);
  const all = new Set(writtenBytes(bytes).map((at) => Math.floor(at / SMALL_PAGE_BYTES)));
  const chosen = bytes.length === 0 ? [] : spread([...all], SAMPLES);
  for (const [place, page] of chosen.entries()) {
    yield damager.zeroPage(path, page, SMALL_PAGE_BYTES);
    for (const other of chosen.slice(place + 1, place + 4)) {
      yield damager.swapPages(path, page, other, SMALL_PAGE_BYTES);
    }
    for (const peer of damager.peersOf(path)) {
      const there = Math.ceil(fileOf(store.image, peer).length / SMALL_PAGE_BYTES);
      if (there === 0) continue;
      const target = { path: peer, page: random.below(there) };
      yield damager.swapWithOther(path, page, target, SMALL_PAGE_BYTES);
    }
  }
}

/** At most so many of them, from the first to the last. */
function spread(pages: readonly number[], countMax: number): number[] {
  const stride = Math.max(1, pages.length / countMax);
  return Array.from(
    { length: Math.min(pages.length, countMax) },
    (_, index) => pages[Math.floor(index * stride)] as number,
  );
}

/** Some damage of a file as a whole, or of a bit of it: every file as often as any other. */
export function fileDamage(store: RotStore, random: SimRandom): Damage {
  const damager = new Damager(store);
  const path = random.pick(pathsOf(store));
  const bytes = fileOf(store.image, path);
  if (bytes.length === 0 || random.chance(0.7)) return random.pick(damager.whole(path, random));
  return damager.flip(path, random.pick(writtenBytes(bytes)) * 8 + random.below(8));
}

/** A bit of the checkpoint, of whose bits no run goes through all. */
export function checkpointFlip(store: RotStore, random: SimRandom): Damage | undefined {
  const path = pathsOf(store).find((each) => fileKindOf(store, each) === "checkpoint");
  if (path === undefined) return undefined;
  const written = writtenBytes(fileOf(store.image, path));
  return new Damager(store).flip(path, random.pick(written) * 8 + random.below(8));
}

/** Some damage of a large store. */
export function largeDamage(store: RotStore, random: SimRandom): Damage {
  const damager = new Damager(store);
  const paths = pathsOf(store).filter((path) => fileOf(store.image, path).length > 0);
  const path = random.pick(paths);
  const { length } = fileOf(store.image, path);
  const pageBytes = random.pick(PAGE_BYTES);
  const pageOf = (bytes: number): number => random.below(Math.ceil(bytes / pageBytes));
  switch (random.below(8)) {
    case 0:
      return damager.flip(path, random.below(length * 8));
    case 1:
      if (length > 1) return damager.cut(path, 1 + random.below(length - 1));
      return random.pick(damager.whole(path, random));
    case 2:
    case 3:
      return damager.zeroPage(path, pageOf(length), pageBytes);
    case 4:
      return damager.swapPages(path, pageOf(length), pageOf(length), pageBytes);
    case 5: {
      const peers = damager.peersOf(path).filter((peer) => fileOf(store.image, peer).length > 0);
      if (peers.length === 0) return damager.zeroPage(path, pageOf(length), pageBytes);
      const peer = random.pick(peers);
      const target = { path: peer, page: pageOf(fileOf(store.image, peer).length) };
      return damager.swapWithOther(path, pageOf(length), target, pageBytes);
    }
    default:
      return random.pick(damager.whole(path, random));
  }
}
