/**
 * The stores that the instrument damages: with every kind of file, every kind of
 * record in sealed segments, in the output of a compaction and in the active
 * segment, and earlier copies of each file beside them.
 *
 *     life 1, close -> copies -> life 2, compaction, close -> copies -> life 3 -> end
 *
 * What reads must answer, `truth`, is asked of the store itself before it is
 * damaged, and is what its records add up to: two ways to one answer.
 */
import { strict as assert } from "node:assert";
import { type Segment as ListedSegment, SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import type { LocalStore } from "../../../src/engine/local-store.js";
import { openStore } from "../../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../../src/engine/options.js";
import { compacted, takingSome } from "../../support/compaction-rig.js";
import type { SimClock } from "../../support/sim-clock.js";
import { type SimHost, simHost } from "../../support/sim-host.js";
import { SimRandom } from "../../support/sim-random.js";
import {
  dataDir,
  framesOf,
  imageOf,
  manifestOf,
  type PlacedFrame,
  type StoreImage,
  segmentDir,
  withFile,
} from "../../support/store-image.js";
import { bytesOf, deleteOf, type KeyState, setOf, stateOf } from "../../support/store-life.js";
import { unpaced } from "../../support/unpaced.js";
import { require } from "./rot-finding.js";
import { strangeFiles } from "./strange-files.js";

/** How a store ended, and which of its shortcuts to the index are there. */
export type RotMode =
  /** Closed, with hints and checkpoint. */
  | "checkpoint"
  /** Closed, with hints. */
  | "hints"
  /** Closed, with neither: every frame is read at opening. */
  | "bare"
  /** As a kill leaves it, with hints. */
  | "killed"
  /** As a kill leaves it, without hints. */
  | "killed bare";

export const rotModes: readonly RotMode[] = [
  "checkpoint",
  "hints",
  "bare",
  "killed",
  "killed bare",
];

/** A few are enough, while the store does what it should. */
const livesMax = 200;

export const reservePath = `${segmentDir}/RESERVE`;

/** A store to be damaged. */
export interface RotStore {
  readonly mode: RotMode;
  readonly options: StoreOptionsInput;
  readonly image: StoreImage;
  /** Earlier copies of its files, oldest first, by path; none equal to the file itself. */
  readonly older: ReadonlyMap<string, readonly Uint8Array[]>;
  /** The files of another store, of the same paths as far as it has them. */
  readonly stranger: StoreImage;
  /** Paths of files in its directories that are not its own; some are named like them. */
  readonly strange: ReadonlySet<string>;
  /** The segments that belong to it. */
  readonly live: readonly ListedSegment[];
  readonly frames: ReadonlyMap<ListedSegment, readonly PlacedFrame[]>;
  /** Every key that was ever written, and what a read says of it. */
  readonly truth: Readonly<Record<string, KeyState>>;
  readonly highestVersion: number;
  readonly clock: SimClock;
}

/** How large a store is to be. */
export interface RotSize {
  readonly segmentBytesMax: number;
  readonly keys: number;
  /** Writes in each of three lives. */
  readonly writes: number;
  readonly valueBytesMax: number;
}

/** So small that every bit of it can be flipped. */
export const smallSize: RotSize = { segmentBytesMax: 190, keys: 6, writes: 7, valueBytesMax: 9 };

/** Of many pages, for damage at random. */
export const largeSize: RotSize = {
  segmentBytesMax: 16_384,
  keys: 150,
  writes: 250,
  valueBytesMax: 900,
};

/** One store in all modes: the life is the same, the end is not. */
export async function buildRotStores(random: SimRandom, size: RotSize): Promise<RotStore[]> {
  const stranger = imageOf((await livesOf(random.below(2 ** 31), size, "closed")).host.files);
  let seed = random.below(2 ** 31);
  let closed = await livesOf(seed, size, "closed");
  // What a life leaves is left to chance; one that has too little of it is lived again.
  for (let lived = 1; !hasEveryState(imageOf(closed.host.files)); lived += 1) {
    require(lived <
      livesMax, `none of ${livesMax} lives leaves every state, and groups with BARRIER`);
    seed = random.below(2 ** 31);
    closed = await livesOf(seed, size, "closed");
  }
  const killed = await livesOf(seed, size, "killed");
  return rotModes.map((mode) => {
    const end = mode.startsWith("killed") ? killed : closed;
    let image = imageOf(end.host.files);
    if (mode !== "checkpoint") image = withFile(image, `${dataDir}/CHECKPOINT`);
    if (mode.endsWith("bare")) {
      image = new Map([...image].filter(([path]) => !path.endsWith(".hint")));
    }
    if (mode === "killed") image = withLeftovers(image);
    // Its size says nothing, and each case would copy it.
    image = withFile(image, reservePath, new Uint8Array(64));
    const strange = strangeFiles(stranger);
    image = new Map([...image, ...strange]);
    const options = { ...optionsOf(size), diskReserveBytes: 0 };
    return describe({ mode, image, end, options, stranger, strange });
  });
}

/** Whether there is a segment of every state, and in the active one rot that a BARRIER frame follows. */
function hasEveryState(image: StoreImage): boolean {
  const { segments } = manifestOf(image);
  const stateOf = (wanted: SegmentState) => segments.find(({ state }) => state === wanted);
  const active = stateOf(SegmentState.ACTIVE);
  if (active === undefined || stateOf(SegmentState.SEALED) === undefined) return false;
  if (stateOf(SegmentState.COMPACTED) === undefined) return false;
  return framesOf(image, active).filter(({ isBarrier }) => isBarrier).length >= 2;
}

function optionsOf({ segmentBytesMax }: RotSize): StoreOptionsInput {
  return {
    dataDir,
    segmentBytesMax,
    liftFloors: true,
    diskReserveBytes: 512,
    cacheBytesMax: 0,
    compaction: "manual",
    watchRetentionMs: 0,
  };
}

/** Opens a store of these options, as the lives do and the judge; with `random` it picks victims by chance. */
export async function openRotStore(
  host: SimHost,
  options: StoreOptionsInput,
  random?: SimRandom,
): Promise<LocalStore> {
  return await openStore(options, host, {
    checkpointKeysMin: 0,
    pacer: unpaced(host.clock),
    ...(random && { chooseVictims: takingSome(random) }),
  });
}

/** What lives came to. */
interface Lives {
  readonly host: SimHost;
  readonly truth: Record<string, KeyState>;
  readonly highestVersion: number;
  readonly copies: readonly StoreImage[];
}

async function livesOf(seed: number, size: RotSize, end: "closed" | "killed"): Promise<Lives> {
  const random = new SimRandom(seed);
  const host = simHost({ seed });
  const options = optionsOf(size);
  const copies: StoreImage[] = [];
  const keys = Array.from({ length: size.keys }, (_, index) => `k${index}`);
  for (const life of [1, 2, 3]) {
    const store = await openRotStore(host, options);
    for (let write = 0; write < size.writes; write += 1) {
      await writeOne(store, host, random, size, `${life}.${write}`);
      if (size === largeSize ? write % 100 === 0 : write === 3) copies.push(imageOf(host.files));
    }
    await endGroup(store, random, life);
    await store.hintsWritten();
    if (life === 2) {
      await compacted({ store });
      await store.set(bytesOf("k0"), bytesOf("after the compaction"), { kind: "never" });
      await store.hintsWritten();
    }
    if (life === 3) {
      const truth = await stateOf(store, [...keys, "group0", "group1"]);
      const highestVersion = store.version;
      if (end === "closed") await store.close();
      return { host, truth, highestVersion, copies };
    }
    await store.close();
    copies.push(imageOf(host.files));
  }
  throw new Error("there are three lives");
}

async function writeOne(
  store: LocalStore,
  host: SimHost,
  random: SimRandom,
  size: RotSize,
  name: string,
): Promise<void> {
  const key = `k${random.below(size.keys)}`;
  const value = `${name} `.padEnd(1 + random.below(size.valueBytesMax), ".");
  const choice = random.below(10);
  if (choice < 5) await store.set(bytesOf(key), bytesOf(value), { kind: "never" });
  else if (choice < 7) await store.delete(bytesOf(key));
  else if (choice < 8) {
    const lifetimeMs = random.pick([5, 1e9]);
    await store.set(bytesOf(key), bytesOf(value), { kind: "ttl", ttlMs: lifetimeMs });
    await host.clock.advance(10);
  } else {
    const other = `k${random.below(size.keys)}`;
    const members = [setOf(key, value)];
    if (other !== key) members.push(random.chance(0.5) ? deleteOf(other) : setOf(other, value));
    await store.commit(members);
  }
}

/** Two writes that share a sync: a group whose second frame has no BARRIER. */
async function endGroup(store: LocalStore, random: SimRandom, life: number): Promise<void> {
  const value = `${life}`.padEnd(1 + random.below(6), "g");
  await Promise.all(
    [0, 1].map((each) =>
      store.set(bytesOf(`group${each}`), bytesOf(value + each), { kind: "never" }),
    ),
  );
}

/** With what a kill in the middle of a change leaves behind. */
function withLeftovers(image: StoreImage): StoreImage {
  const next = new Map(image);
  const half = (path: string): Uint8Array => {
    const bytes = image.get(path) ?? new Uint8Array(40).fill(7);
    return bytes.slice(0, bytes.length >> 1);
  };
  next.set(`${dataDir}/MANIFEST.tmp`, half(`${dataDir}/MANIFEST`));
  next.set(`${dataDir}/CHECKPOINT.tmp`, half(`${dataDir}/CHECKPOINT`));
  const hint = [...image.keys()].find((path) => path.endsWith(".hint"));
  if (hint !== undefined) next.set(`${hint}.tmp`, half(hint));
  return next;
}

function describe(parts: {
  mode: RotMode;
  image: StoreImage;
  end: Lives;
  options: StoreOptionsInput;
  stranger: StoreImage;
  strange: StoreImage;
}): RotStore {
  const { mode, image, end, options, stranger, strange } = parts;
  const live = manifestOf(image).segments.filter(
    ({ state }) => state !== SegmentState.PENDING && state !== SegmentState.REMOVED,
  );
  assert.ok(hasEveryState(image), "the lives are the same, however they end");
  const frames = new Map(live.map((listed) => [listed, framesOf(image, listed)]));
  return {
    mode,
    options,
    image,
    older: olderCopies(image, end.copies),
    stranger,
    strange: new Set(strange.keys()),
    live,
    frames,
    truth: end.truth,
    highestVersion: end.highestVersion,
    clock: end.host.clock,
  };
}

function olderCopies(
  image: StoreImage,
  copies: readonly StoreImage[],
): ReadonlyMap<string, readonly Uint8Array[]> {
  const older = new Map<string, Uint8Array[]>();
  for (const [path, bytes] of image) {
    const known = new Set([textOf(bytes)]);
    for (const copy of copies) {
      const was = copy.get(path);
      if (was === undefined || known.has(textOf(was))) continue;
      known.add(textOf(was));
      older.set(path, [...(older.get(path) ?? []), was]);
    }
  }
  return older;
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
