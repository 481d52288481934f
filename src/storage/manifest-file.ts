/**
 * The manifest on disk: read at opening, replaced as a whole ever after.
 *
 *   write MANIFEST.tmp -> sync it -> MANIFEST.prev := link to MANIFEST
 *     -> rename MANIFEST.tmp to MANIFEST -> sync the directory
 *
 * At every instant MANIFEST is either the old one or the new one. Changes run
 * one after the other. A change that failed before anything was synced left
 * the old manifest standing and may be tried again; any later failure leaves
 * unknown which of the two a power cut would show, so the store latches.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Manifest, ManifestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { decodeManifest, encodeManifest, type ManifestVerdict } from "../format/manifest.js";
import { errorCode, type FileSystem } from "../host/file-system.js";
import { readWholeFile, writeDurableFile } from "./file-tools.js";
import { dataPath, FileName, type StoreDirectories } from "./layout.js";

/** A manifest change whose outcome on disk is unknown: the store must latch. */
export class ManifestUncertainError extends Error {
  override readonly name = "ManifestUncertainError";
}

/** Reads the manifest; undefined if there is no such file. */
export async function loadManifest(
  files: FileSystem,
  directories: StoreDirectories,
): Promise<ManifestVerdict | undefined> {
  const bytes = await readWholeFile(files, dataPath(directories, FileName.manifest));
  return bytes === undefined ? undefined : decodeManifest(bytes);
}

/** The manifest of an open store. */
export class ManifestFile {
  readonly #files: FileSystem;
  readonly #directories: StoreDirectories;
  #current: Manifest;
  #exists: boolean;
  #last: Promise<void> = Promise.resolve();
  #bytes = 0;
  #uncertain: ManifestUncertainError | undefined;

  constructor(
    files: FileSystem,
    directories: StoreDirectories,
    current: Manifest,
    exists: boolean,
  ) {
    this.#files = files;
    this.#directories = directories;
    this.#current = current;
    this.#exists = exists;
    this.#bytes = toBinary(ManifestSchema, current).length;
  }

  /** What the disk says; never changed in place. */
  get current(): Readonly<Manifest> {
    return this.#current;
  }

  /** The size of the current manifest in bytes, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Makes `edit` of a copy of the manifest durable, after all changes asked for
   * before. Throws what the file system threw if the old manifest still
   * stands, ManifestUncertainError if that is not known.
   */
  change(edit: (draft: Manifest) => void): Promise<void> {
    const turn = this.#last.then(() => this.#replace(edit));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #replace(edit: (draft: Manifest) => void): Promise<void> {
    // Which manifest stands is unknown, so there is none to change.
    if (this.#uncertain !== undefined) throw this.#uncertain;
    const draft = create(ManifestSchema, {
      ...this.#current,
      segments: [...this.#current.segments],
      lostRanges: [...this.#current.lostRanges],
      damagedRanges: [...this.#current.damagedRanges],
    });
    edit(draft);
    draft.generation = this.#current.generation + 1n;
    const bytes = encodeManifest(draft);
    const temporary = dataPath(this.#directories, FileName.manifestTemporary);
    const sync = await writeDurableFile(this.#files, temporary, bytes);
    try {
      await sync();
      await this.#keepPrevious();
      await this.#files.rename(temporary, dataPath(this.#directories, FileName.manifest));
      await this.#files.syncDirectory(this.#directories.data);
    } catch (cause) {
      const why = "the manifest may or may not have changed";
      this.#uncertain = new ManifestUncertainError(why, { cause });
      throw this.#uncertain;
    }
    this.#exists = true;
    this.#current = draft;
    this.#bytes = bytes.length;
  }

  /** The manifest before, under a second name. It informs a repair; nothing depends on it. */
  async #keepPrevious(): Promise<void> {
    if (!this.#exists) return;
    const previous = dataPath(this.#directories, FileName.manifestPrevious);
    try {
      await this.#files.remove(previous);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
    await this.#files.link(dataPath(this.#directories, FileName.manifest), previous);
  }
}
