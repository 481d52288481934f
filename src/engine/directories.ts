/**
 * Taking possession of a store's directories: made, locked, and known to belong
 * together, before anything in them is believed.
 */
import { basename, dirname } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Manifest, ManifestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { STORE_ID_BYTES } from "../base/limits.js";
import { hintFileName, parseSegmentFileName, segmentFileName } from "../format/segment-name.js";
import type { FileLock } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import {
  dataPath,
  FileName,
  isStoreFileName,
  isUploadFileName,
  type StoreDirectories,
  segmentPath,
  TEMPORARY_SUFFIX,
} from "../storage/layout.js";
import { loadManifest, ManifestFile } from "../storage/manifest-file.js";
import { readStoreMark, writeStoreMark } from "../storage/store-mark.js";
import { letGo } from "./let-go.js";
import type { StoreOptions } from "./options.js";
import { findYoungerSegment } from "./outdated-manifest.js";

/** The directories of a store that this process holds. */
export interface HeldDirectories {
  readonly directories: StoreDirectories;
  readonly locks: readonly FileLock[];
}

/** Makes and locks both directories. Throws STORE_LOCKED, LOCK_UNAVAILABLE, OPEN_FAILED. */
export async function holdDirectories(host: Host, options: StoreOptions): Promise<HeldDirectories> {
  const directories = { data: options.dataDir, segments: options.segmentDir };
  const locks: FileLock[] = [];
  const paths = new Set([
    dataPath(directories, FileName.lock),
    segmentPath(directories, FileName.lock),
  ]);
  try {
    await host.files.makeDirectory(directories.data);
    await host.files.makeDirectory(directories.segments);
    for (const path of paths) {
      const lock = await host.files.lock(path);
      if (lock === undefined) {
        throw new KvixError("STORE_LOCKED", path, { metadata: { file: path } });
      }
      locks.push(lock);
    }
  } catch (error) {
    await letGo(
      host.log,
      locks.map((lock) => () => lock.release()),
    );
    throw openFailed(error);
  }
  return { directories, locks };
}

/** What is not a KvixError at opening is the file system's refusal. */
export function openFailed(error: unknown): KvixError {
  if (error instanceof KvixError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new KvixError("OPEN_FAILED", detail, { cause: error });
}

/**
 * The manifest of the store, of a new one if the directories hold none. Throws
 * MANIFEST_DAMAGED, FORMAT_TOO_NEW, STORE_MISMATCH.
 */
export async function openManifest(
  host: Host,
  directories: StoreDirectories,
  options: StoreOptions,
): Promise<ManifestFile> {
  const verdict = await loadManifest(host.files, directories);
  if (verdict?.kind === "manifest") {
    await requireSameStore(host, directories, verdict.manifest);
    const younger = await findYoungerSegment(host, directories, verdict.manifest);
    if (younger !== undefined) {
      throw manifestDamaged(directories, `MANIFEST is older than ${younger}`);
    }
    return new ManifestFile(host.files, directories, verdict.manifest, true);
  }
  if (verdict?.kind === "too-new") {
    throw new KvixError("FORMAT_TOO_NEW", `format version ${verdict.formatVersion}`, {
      metadata: { format_version: verdict.formatVersion },
    });
  }
  const why = verdict === undefined ? "MANIFEST is missing" : `MANIFEST is damaged: ${verdict.why}`;
  const isEmpty = verdict === undefined && !(await holdsStore(host, directories));
  if (!isEmpty) throw manifestDamaged(directories, why);
  return createManifest(host, directories, options);
}

function manifestDamaged(directories: StoreDirectories, why: string): KvixError {
  const path = dataPath(directories, FileName.manifest);
  return new KvixError(
    "MANIFEST_DAMAGED",
    `${why} in ${directories.data}; nothing was changed. To rebuild it from the segments: ` +
      `kvix repair --data-dir ${directories.data} --segment-dir ${directories.segments}`,
    { metadata: { file: path } },
  );
}

async function holdsStore(host: Host, directories: StoreDirectories): Promise<boolean> {
  const data = await host.files.list(directories.data);
  if (data.some((entry) => isStoreFileName(entry.name))) return true;
  const segments = await host.files.list(directories.segments);
  return [...data, ...segments].some((entry) => parseSegmentFileName(entry.name) !== undefined);
}

async function createManifest(
  host: Host,
  directories: StoreDirectories,
  options: StoreOptions,
): Promise<ManifestFile> {
  // A mark without a manifest is what a making that was cut short has left. It is written
  // again: the sync of its name may be what failed.
  const marked = await readStoreMark(host.files, directories);
  const storeId = marked ?? host.entropy.bytes(STORE_ID_BYTES);
  await writeStoreMark(host.files, directories, storeId);
  const first = create(ManifestSchema, {
    storeId: new Uint8Array(storeId),
    versionMark: 1n,
    segmentPrefix: options.segmentPrefix,
  });
  const manifest = new ManifestFile(host.files, directories, first, false);
  await manifest.change(() => undefined);
  return manifest;
}

async function requireSameStore(
  host: Host,
  directories: StoreDirectories,
  manifest: Manifest,
): Promise<void> {
  const mark = await readStoreMark(host.files, directories);
  if (mark !== undefined) {
    if (Buffer.compare(mark, manifest.storeId) === 0) return;
    throw new KvixError("STORE_MISMATCH", directories.segments);
  }
  // Without its mark the directory must at least show one of the segments: an empty one is
  // more likely a disk that is not mounted than a store that lost everything.
  const entries = await host.files.list(directories.segments);
  const present = new Set(entries.map((entry) => entry.name));
  const isShown = manifest.segments.some((segment) =>
    Array.from(present).some((name) => {
      const parsed = parseSegmentFileName(name);
      return parsed?.timestampNs === segment.timestamp && parsed.id === segment.id;
    }),
  );
  if (!isShown) {
    throw new KvixError("STORE_MISMATCH", `${directories.segments} bears no mark of the store`);
  }
  host.log.warn({ directory: directories.segments }, "the segment directory has lost its mark");
}

/** Files that are not the store's: reported, kept (V9). Ids that they bear are not given again. */
export interface StrayFiles {
  readonly names: readonly string[];
  readonly ids: ReadonlySet<number>;
  /** Checkpoints that lie there, whole or begun: the store's own, but good for one opening only. */
  readonly checkpoints: readonly string[];
  /** Staging files of uploads that an earlier session has left. */
  readonly staged: readonly string[];
}

const dataFileNames = [
  FileName.checkpoint,
  FileName.checkpointTemporary,
  FileName.lock,
  FileName.manifest,
  FileName.manifestPrevious,
  FileName.manifestTemporary,
  FileName.manifestDamaged,
];
const checkpointNames = new Set<string>([FileName.checkpoint, FileName.checkpointTemporary]);
const segmentFileNames = [FileName.lock, FileName.reserve, FileName.store, FileName.storeTemporary];

/** Looks for files in the two directories that are not the store's. */
export async function findStrayFiles(
  host: Host,
  directories: StoreDirectories,
  manifest: Readonly<Manifest>,
): Promise<StrayFiles> {
  const { data, segments } = directories;
  const inData = new Set<string>(dataFileNames);
  if (dirname(segments) === data) inData.add(basename(segments));
  const inSegments = new Set<string>(segmentFileNames);
  for (const { prefix, id, timestamp } of manifest.segments) {
    const hint = hintFileName(prefix, id, timestamp);
    inSegments
      .add(segmentFileName(prefix, id, timestamp))
      .add(hint)
      .add(hint + TEMPORARY_SUFFIX);
  }
  const isOne = data === segments;
  const strays = new Set<string>();
  const checkpoints: string[] = [];
  const staged = new Set<string>();
  for (const [directory, ours, others] of [
    [data, inData, inSegments],
    [segments, inSegments, inData],
  ] as const) {
    for (const { name } of await host.files.list(directory)) {
      if (ours === inData && checkpointNames.has(name)) checkpoints.push(name);
      if (ours === inSegments && isUploadFileName(manifest.storeId, name)) staged.add(name);
      else if (!ours.has(name) && !(isOne && others.has(name))) strays.add(name);
    }
  }
  for (const name of staged) strays.delete(name);
  const ids = new Set<number>();
  for (const name of strays) {
    const parsed = parseSegmentFileName(name);
    if (parsed !== undefined) ids.add(parsed.id);
  }
  return { names: Array.from(strays), ids, checkpoints, staged: Array.from(staged) };
}
