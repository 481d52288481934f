/**
 * What can befall a file: every kind of damage, and how it is done to an image.
 *
 * A damage is one fault: it touches one file, or two where bytes changed places.
 * Pages are 64 bytes in a small store, so that there is more than one of them in
 * a file, and 512 or 4,096 in a large one, as disks lose them.
 */
import { SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import type { SimRandom } from "../../support/sim-random.js";
import {
  fileOf,
  flipped,
  hintPathOf,
  type StoreImage,
  segmentPathOf,
} from "../../support/store-image.js";
import { laterFiles } from "./later-format.js";
import type { RotStore } from "./rot-store.js";

/** What a file of a store is. */
export const fileKinds = [
  "sealed segment",
  "compacted segment",
  "active segment",
  "hint",
  "manifest",
  "manifest before",
  "checkpoint",
  "mark",
  "lock",
  "reserve",
  "temporary file",
  "strange file",
] as const;
export type FileKind = (typeof fileKinds)[number];

/** What befalls it. */
export const damageKinds = [
  "bit flipped",
  "cut",
  "missing",
  "emptied",
  "page zeroed",
  "pages swapped",
  "pages swapped with another file",
  "older copy",
  "another's bytes",
  "exchanged with another",
  "zeros appended",
  "garbage appended",
  "of a later format",
] as const;
export type DamageKind = (typeof damageKinds)[number];

/** One fault. */
export interface Damage {
  readonly file: FileKind;
  readonly kind: DamageKind;
  readonly path: string;
  /** What the files are whose bytes change. */
  readonly touched: readonly FileKind[];
  /** The particulars, for a finding. */
  readonly where: string;
  apply(image: StoreImage): StoreImage;
}

/** What a file is, by its path. */
export function fileKindOf(store: RotStore, path: string): FileKind {
  if (store.strange.has(path)) return "strange file";
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (name.endsWith(".tmp")) return "temporary file";
  if (name.endsWith(".hint")) return "hint";
  const listed = store.live.find((each) => segmentPathOf(each) === path);
  if (listed?.state === SegmentState.ACTIVE) return "active segment";
  if (listed !== undefined) {
    return listed.state === SegmentState.COMPACTED ? "compacted segment" : "sealed segment";
  }
  const byName: Readonly<Record<string, FileKind>> = {
    MANIFEST: "manifest",
    "MANIFEST.prev": "manifest before",
    CHECKPOINT: "checkpoint",
    STORE: "mark",
    LOCK: "lock",
    RESERVE: "reserve",
  };
  const kind = byName[name];
  if (kind === undefined) throw new TypeError(`no file of a store: ${path}`);
  return kind;
}

/** The paths of all files of a store. */
export const pathsOf = (store: RotStore): string[] =>
  [...store.image.keys()].filter((path) => !path.endsWith("/")).sort();

/** Makes the damages of one store. */
export class Damager {
  readonly #store: RotStore;

  constructor(store: RotStore) {
    this.#store = store;
  }

  #damage(
    path: string,
    kind: DamageKind,
    where: string,
    changes: ReadonlyMap<string, Uint8Array | undefined>,
  ): Damage {
    const apply = (image: StoreImage): StoreImage => {
      const next = new Map(image);
      for (const [changed, bytes] of changes) {
        if (bytes === undefined) next.delete(changed);
        else next.set(changed, bytes);
      }
      return next;
    };
    const touched = Array.from(changes.keys(), (changed) => fileKindOf(this.#store, changed));
    return { file: fileKindOf(this.#store, path), kind, path, touched, where, apply };
  }

  #one(path: string, kind: DamageKind, where: string, bytes: Uint8Array | undefined): Damage {
    return this.#damage(path, kind, where, new Map([[path, bytes]]));
  }

  #bytes(path: string): Uint8Array {
    return fileOf(this.#store.image, path);
  }

  /** Inverts one bit. */
  flip(path: string, bit: number): Damage {
    return this.#one(path, "bit flipped", `bit ${bit}`, flipped(this.#bytes(path), bit));
  }

  /** Leaves the first `length` bytes, fewer than there are and not none. */
  cut(path: string, length: number): Damage {
    return this.#one(path, "cut", `to ${length} bytes`, this.#bytes(path).slice(0, length));
  }

  zeroPage(path: string, page: number, pageBytes: number): Damage {
    const bytes = this.#bytes(path).slice();
    bytes.fill(0, page * pageBytes, (page + 1) * pageBytes);
    return this.#one(path, "page zeroed", `page ${page} of ${pageBytes}`, bytes);
  }

  /** Only what both pages have: the file keeps its length. */
  swapPages(path: string, one: number, other: number, pageBytes: number): Damage {
    const bytes = this.#bytes(path).slice();
    swap(bytes, one * pageBytes, bytes, other * pageBytes, pageBytes);
    return this.#one(path, "pages swapped", `pages ${one} and ${other} of ${pageBytes}`, bytes);
  }

  swapWithOther(
    path: string,
    page: number,
    other: { path: string; page: number },
    pageBytes: number,
  ): Damage {
    const bytes = this.#bytes(path).slice();
    const others = this.#bytes(other.path).slice();
    swap(bytes, page * pageBytes, others, other.page * pageBytes, pageBytes);
    const where = `page ${page} with page ${other.page} of ${other.path}, ${pageBytes} bytes`;
    const changes = new Map([
      [path, bytes],
      [other.path, others],
    ]);
    return this.#damage(path, "pages swapped with another file", where, changes);
  }

  append(path: string, tail: Uint8Array): Damage {
    const isZeros = tail.every((byte) => byte === 0);
    const kind = isZeros ? "zeros appended" : "garbage appended";
    return this.#one(path, kind, `${tail.length} bytes`, Buffer.concat([this.#bytes(path), tail]));
  }

  /** What befalls a file as a whole. */
  whole(path: string, random: SimRandom): Damage[] {
    const bytes = this.#bytes(path);
    const damages = [this.#one(path, "missing", "", undefined)];
    if (bytes.length > 0) damages.push(this.#one(path, "emptied", "", new Uint8Array(0)));
    for (const [index, older] of (this.#store.older.get(path) ?? []).entries()) {
      damages.push(this.#one(path, "older copy", `copy ${index}, ${older.length} bytes`, older));
    }
    for (const length of [1, 17, 64]) {
      damages.push(this.append(path, new Uint8Array(length)));
      damages.push(this.append(path, random.bytes(length).fill(1, 0, 1)));
    }
    for (const other of this.peersOf(path)) damages.push(...this.#between(path, other));
    for (const { where, bytes } of laterFiles(this.#store, path, fileKindOf(this.#store, path))) {
      damages.push(this.#one(path, "of a later format", where, bytes));
    }
    const foreign = this.#strangerOf(path);
    if (foreign !== undefined) {
      damages.push(this.#one(path, "another's bytes", "of another store", foreign));
    }
    return damages;
  }

  /** The files that one could be taken for: the same kind, or the same in another state. */
  peersOf(path: string): string[] {
    const kind = fileKindOf(this.#store, path);
    return pathsOf(this.#store).filter((other) => {
      if (other === path) return false;
      const otherKind = fileKindOf(this.#store, other);
      if (kind.startsWith("manifest")) return otherKind.startsWith("manifest");
      return kind.endsWith("segment") ? otherKind.endsWith("segment") : otherKind === kind;
    });
  }

  #between(path: string, other: string): Damage[] {
    const theirs = this.#bytes(other);
    const exchanged = new Map([
      [path, theirs],
      [other, this.#bytes(path)],
    ]);
    const isOlder = fileKindOf(this.#store, path).startsWith("manifest");
    const kind = isOlder ? "older copy" : "another's bytes";
    return [
      this.#one(path, kind, `those of ${other}`, theirs),
      this.#damage(path, "exchanged with another", other, exchanged),
    ];
  }

  /** The stranger's file of that kind. */
  #strangerOf(path: string): Uint8Array | undefined {
    const { stranger, live } = this.#store;
    const suffix = path.slice(path.lastIndexOf("."));
    if (fileKindOf(this.#store, path) === "strange file") return undefined;
    const isOfSegment = suffix === ".seg" || suffix === ".hint";
    if (!isOfSegment) return stranger.get(path);
    const place = live.findIndex((each) => [segmentPathOf(each), hintPathOf(each)].includes(path));
    const theirs = [...stranger.keys()].filter((each) => each.endsWith(suffix)).sort();
    const name = theirs[place % theirs.length];
    return name === undefined ? undefined : stranger.get(name);
  }
}

function swap(one: Uint8Array, at: number, other: Uint8Array, otherAt: number, pageBytes: number) {
  const bytes = Math.min(pageBytes, one.length - at, other.length - otherAt);
  if (bytes <= 0) return;
  const kept = one.slice(at, at + bytes);
  one.set(other.slice(otherAt, otherAt + bytes), at);
  other.set(kept, otherAt);
}
