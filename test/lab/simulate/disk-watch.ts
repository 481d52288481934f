/**
 * What must hold of the files of a store whenever one of its file operations begins,
 * whatever comes of that operation: so each is a crash test of its own.
 *
 *     a manifest has its name    a power cut may leave it from then on: its bytes are durable,
 *                                and so is, with its name, all that it lists; no id twice.
 *                                Where a segment leaves, all records that must be there lie
 *                                in those that stay
 *     a segment's file goes      what a power cut leaves calls it removed or pending
 *     a sync fails that the      the store is latched when all is at rest
 *     log or manifest needs
 *
 * And whenever somebody is answered: the manifest that a power cut leaves knows of no clean
 * close, and keeps the version of the answer from being given again.
 */
import { strict as assert } from "node:assert";
import {
  type Segment as Listed,
  type Manifest,
  SegmentState,
} from "../../../gen/kvix/v1/kvix_pb.js";
import { decodeManifest } from "../../../src/format/manifest.js";
import { segmentFileName } from "../../../src/format/segment-name.js";
import type { OperationFacts } from "../../support/file-operation.js";
import type { SimDisk, SimInode } from "../../support/sim-disk.js";
import { directoryAt, type Names } from "./disk-places.js";
import { dataDir } from "./plan.js";

const manifestName = "MANIFEST";
const manifestTemporary = `${dataDir}/MANIFEST.tmp`;

type Operation = Pick<OperationFacts, "op" | "path">;

/** Of all lives of a seed. */
export class DiskWatch {
  /** Is told which segments are the store's from now on, when some have left it. */
  onLeaving: (staying: ReadonlySet<string>) => void = () => undefined;
  readonly #disk: () => SimDisk;
  readonly #segmentDir: string;
  /** What a file with the name of a manifest holds: it is never changed. */
  readonly #manifests = new WeakMap<SimInode, Manifest>();
  #judged: SimInode | undefined;
  /** The store's segments, by the manifest that was judged last. */
  #names: ReadonlySet<string> = new Set();

  constructor(disk: () => SimDisk, segmentDir: string) {
    this.#disk = disk;
    this.#segmentDir = segmentDir;
  }

  /** To be called before each operation. */
  meet({ op, path }: Operation): void {
    const file = this.#manifestFile("current");
    if (file !== undefined && file !== this.#judged) {
      this.#judged = file;
      this.#judge(file);
    }
    if (op === "remove" && path.endsWith(".seg")) this.#judgeRemoval(path);
  }

  /** Whoever is answered with a version: it was reserved before, and the clean mark was withdrawn. */
  requireReserved(version: number): void {
    if (version === 0) return;
    const file = this.#manifestFile("durable");
    assert.ok(file, "V15: a write is answered, and no manifest is durable");
    const { clean, versionMark } = this.#read(file);
    assert.equal(clean, undefined, `D2 V15: version ${version} is answered, over a clean mark`);
    assert.ok(
      versionMark > version,
      `D2 V15: ${version} is answered, reserved up to ${versionMark}`,
    );
  }

  /** Whether the store may acknowledge nothing more once this sync has failed. */
  isVital({ op, path }: Operation): boolean {
    if (op === "syncDirectory") return path === dataDir || path === this.#segmentDir;
    if (op !== "syncData") return false;
    if (path === manifestTemporary) return true;
    const file = this.#manifestFile("current");
    const active = file && this.#read(file).segments.find(isActive);
    return active !== undefined && path === `${this.#segmentDir}/${nameOf(active)}`;
  }

  #judge(file: SimInode): void {
    const isSynced = file.pending.length === 0 && file.durable.length === file.current.length;
    assert.ok(isSynced, "D2: a manifest has its name before its bytes are durable");
    const { segments } = this.#read(file);
    const names = directoryAt(this.#disk(), this.#segmentDir, "durable")?.durable;
    const ids = new Set<number>();
    const staying = new Set<string>();
    for (const listed of segments) {
      assert.ok(!ids.has(listed.id), `I3: the manifest has two segments with the id ${listed.id}`);
      ids.add(listed.id);
      if (!isOfStore(listed)) continue;
      const name = nameOf(listed);
      staying.add(name);
      const node = names?.get(name);
      assert.ok(node?.kind === "file", `D2: the manifest lists ${name}, whose name is not durable`);
      const isWhole = isActive(listed) || node.durable.length >= Number(listed.length);
      assert.ok(isWhole, `V16: the manifest lists ${name} with bytes that are not durable`);
    }
    const hasLeft = Array.from(this.#names).some((name) => !staying.has(name));
    this.#names = staying;
    if (hasLeft) this.onLeaving(staying);
  }

  #judgeRemoval(path: string): void {
    const fileName = path.slice(path.lastIndexOf("/") + 1);
    for (const names of ["durable", "current"] as const) {
      const file = this.#manifestFile(names);
      const listed = file && this.#read(file).segments.find((each) => nameOf(each) === fileName);
      const isLeaving = listed !== undefined && !isOfStore(listed);
      const state = listed === undefined ? "nothing" : SegmentState[listed.state];
      assert.ok(
        isLeaving,
        `M5 M13: ${fileName} is removed, and is ${state} in a ${names} manifest`,
      );
    }
  }

  #manifestFile(names: Names): SimInode | undefined {
    const node = directoryAt(this.#disk(), dataDir, names)?.[names].get(manifestName);
    return node?.kind === "file" ? node : undefined;
  }

  #read(file: SimInode): Manifest {
    const known = this.#manifests.get(file);
    if (known !== undefined) return known;
    const verdict = decodeManifest(file.current.copy());
    assert.ok(verdict.kind === "manifest", `the manifest is ${verdict.kind}`);
    this.#manifests.set(file, verdict.manifest);
    return verdict.manifest;
  }
}

function isActive({ state }: Listed): boolean {
  return state === SegmentState.ACTIVE;
}

function isOfStore({ state }: Listed): boolean {
  return state !== SegmentState.PENDING && state !== SegmentState.REMOVED;
}

function nameOf({ prefix, id, timestamp }: Listed): string {
  return segmentFileName(prefix, id, timestamp);
}
