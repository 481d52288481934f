/** `kvix inspect` of a manifest and of the mark of a segment directory. */
import { type Manifest, ManifestSchema, SegmentStateSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { decodeManifest } from "../format/manifest.js";
import { segmentFileName } from "../format/segment-name.js";
import { readWholeFile } from "../storage/file-tools.js";
import { decodeStoreMark } from "../storage/store-mark.js";
import { adminJson, enumName } from "./admin-json.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { hex32, type Inspection } from "./inspection.js";
import { formatBytes } from "./quantity.js";
import { formatPairs, formatTable } from "./table.js";

const NS_PER_MS = 1_000_000n;

/** Shows a manifest. */
export async function inspectManifest(inspection: Inspection): Promise<void> {
  const { host, path, context, asJson } = inspection;
  const bytes = (await readWholeFile(host.files, path)) ?? new Uint8Array(0);
  const verdict = decodeManifest(bytes);
  if (verdict.kind === "too-new") {
    throw new KvixError("FORMAT_TOO_NEW", `format version ${verdict.formatVersion}`);
  }
  if (verdict.kind === "damaged") {
    throw new CommandEnd(
      ExitCode.DATA_LOSS,
      `the manifest is damaged: ${verdict.why}. Restore the directory from a backup, ` +
        "or rebuild the manifest with `kvix repair`.",
    );
  }
  const { manifest } = verdict;
  if (asJson) {
    const storeId = Buffer.from(manifest.storeId).toString("hex");
    const json = { type: "manifest", ...adminJson(ManifestSchema, manifest), storeId };
    return await context.out.json(json);
  }
  await context.out.write(formatPairs(describe(manifest)));
  const head = ["segment", "state", "length", "checksum", "versions"];
  const rows = manifest.segments.map((segment) => {
    const { prefix, id, timestamp, state, length, checksum } = segment;
    const versions = `${segment.lowestVersion} to ${segment.highestVersion}`;
    return [
      segmentFileName(prefix, id, timestamp),
      enumName(SegmentStateSchema, state),
      String(length),
      hex32(checksum),
      segment.highestVersion === 0n ? "" : versions,
    ];
  });
  await context.out.write(`\n${formatTable(head, rows, new Set([2]))}`);
}

function describe(manifest: Manifest): [name: string, value: string][] {
  const { clean, lostRanges, damagedRanges } = manifest;
  const rows: [string, string][] = [
    ["store", Buffer.from(manifest.storeId).toString("hex")],
    ["generation", String(manifest.generation)],
    ["version mark", String(manifest.versionMark)],
    ["history floor", String(manifest.historyFloor)],
    ["last segment", `${manifest.segmentId}, timestamp ${manifest.segmentTimestamp}`],
    ["prefix", manifest.segmentPrefix],
  ];
  if (clean === undefined) rows.push(["closed", "no: it is open, or was not closed properly"]);
  else {
    const newest = new Date(Number(clean.newestTimestamp / NS_PER_MS)).toISOString();
    const length = formatBytes(Number(clean.syncedLength));
    rows.push(["closed", `at version ${clean.lastVersion}, active segment ${length}`]);
    rows.push(["newest frame", newest]);
  }
  for (const { first, last } of lostRanges) rows.push(["lost versions", `${first} to ${last}`]);
  for (const range of damagedRanges) {
    const { segmentId, offset, length, versions, keysUnknown } = range;
    const where = `segment ${segmentId} at ${offset}, ${length} bytes`;
    const which = versions === undefined ? "" : `, versions ${versions.first} to ${versions.last}`;
    rows.push(["damage", `${where}${which}, keys ${keysUnknown ? "unknown" : "known"}`]);
  }
  return rows;
}

/** Shows the mark of a segment directory. */
export async function inspectStoreMark(inspection: Inspection): Promise<void> {
  const { host, path, context, asJson } = inspection;
  const storeId = decodeStoreMark((await readWholeFile(host.files, path)) ?? new Uint8Array(0));
  if (storeId === undefined) {
    throw new CommandEnd(
      ExitCode.DATA_LOSS,
      "the mark of the segment directory is damaged; the manifest says which store it is",
    );
  }
  const text = Buffer.from(storeId).toString("hex");
  if (asJson) await context.out.json({ type: "store", storeId: text });
  else await context.out.write(formatPairs([["store", text]]));
}
