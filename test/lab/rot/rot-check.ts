/**
 * What `kvix verify` has to say of a damaged store: every frame that was hit
 * lies in a finding of its file, nothing else is called damaged, and each of the
 * other files is told by its own name.
 */
import { KvixError } from "../../../src/base/kvix-error.js";
import type { VerifyReport } from "../../../src/engine/store-check.js";
import { verifyStore } from "../../../src/engine/verify.js";
import { type Finding, severityOf } from "../../../src/engine/verify-findings.js";
import {
  hintPathOf,
  hostOf,
  imageOf,
  manifestPath,
  type StoreImage,
  segmentDir,
  segmentPathOf,
} from "../../support/store-image.js";
import { RotFinding } from "./rot-finding.js";
import type { RotStore } from "./rot-store.js";
import type { Sight } from "./sight.js";

const markPath = `${segmentDir}/STORE`;

/** Checks an image, and holds the report against what is known of it. Throws RotFinding. */
export async function judgeCheck(store: RotStore, image: StoreImage, sight: Sight): Promise<void> {
  const host = hostOf(image, store.clock);
  let report: VerifyReport;
  try {
    report = await verifyStore(store.options, host);
  } catch (error) {
    const isTooNew = error instanceof KvixError && error.reason === "FORMAT_TOO_NEW";
    if (isTooNew && changedPaths(store, image).has(manifestPath)) return;
    const why = error instanceof KvixError ? error.message : String(error);
    throw new RotFinding(`verify: ${why}`);
  }
  const after = imageOf(host.files);
  for (const [path, bytes] of image) {
    const isSame = Buffer.compare(bytes, after.get(path) ?? new Uint8Array(0)) === 0;
    if (!isSame) throw new RotFinding(`verify changed ${path}`);
  }
  const changed = changedPaths(store, image);
  if (changed.has(manifestPath)) {
    requireManifestTold(report, image);
    return;
  }
  const damages = report.findings.filter((finding) => severityOf(finding) === "damage");
  for (const { listed, frame, isMoved } of sight.hits) {
    const path = segmentPathOf(listed);
    const isTold = damages.some(
      (finding) => finding.file === path && (isMoved || reaches(finding, frame)),
    );
    if (!isTold) throw new RotFinding(`verify does not tell of ${path} at ${frame.offset}`);
  }
  for (const { kind, file } of damages) {
    if (kind === "STORE_MISMATCH") continue;
    const isHit = sight.hits.some(({ listed }) => segmentPathOf(listed) === file);
    if (!isHit) throw new RotFinding(`verify calls ${file} ${kind}, and it is whole`);
  }
  requireNotes(store, image, report, changed);
}

function changedPaths(store: RotStore, image: StoreImage): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const [path, bytes] of store.image) {
    const now = image.get(path);
    if (now === undefined || Buffer.compare(bytes, now) !== 0) changed.add(path);
  }
  return changed;
}

/** A finding without bytes is of the whole file. */
function reaches(finding: Finding, frame: { offset: number; length: number }): boolean {
  const { offset = 0, length = Number.POSITIVE_INFINITY } = finding;
  return offset < frame.offset + frame.length && frame.offset < offset + length;
}

function requireManifestTold({ findings }: VerifyReport, image: StoreImage): void {
  const kinds = new Set(findings.map(({ kind }) => kind));
  const isTold = image.has(manifestPath)
    ? kinds.has("MANIFEST_DAMAGED") || kinds.has("STORE_MISMATCH") || isOld(kinds)
    : kinds.has("MANIFEST_MISSING");
  if (!isTold) throw new RotFinding("verify does not tell of the manifest");
}

/** A sound manifest of this store: it may be out of date, or say what the newest says. */
function isOld(kinds: ReadonlySet<string>): boolean {
  return !kinds.has("MANIFEST_MISSING");
}

function requireNotes(
  store: RotStore,
  image: StoreImage,
  { findings }: VerifyReport,
  changed: ReadonlySet<string>,
): void {
  const kindsOf = (path: string) =>
    findings.filter(({ file }) => file === path).map(({ kind }) => kind);
  if (changed.has(markPath)) {
    const [kind] = kindsOf(markPath);
    if (kind === undefined) throw new RotFinding("verify does not tell of the mark");
  }
  for (const listed of store.live) {
    const path = hintPathOf(listed);
    if (!changed.has(path) || changed.has(segmentPathOf(listed))) continue;
    const expected = image.has(path) ? "HINT_DAMAGED" : "HINT_MISSING";
    if (!kindsOf(path).includes(expected)) {
      throw new RotFinding(`verify says ${kindsOf(path).join()} of ${path}, not ${expected}`);
    }
  }
}
