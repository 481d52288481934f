/**
 * `kvix inspect FILE`: what is in a file of a store, as a table or as JSON
 * lines. It reads only and takes no lock, so it works beside a server, and it
 * believes nothing: damage is marked, and what follows is shown.
 */
import { basename, resolve } from "node:path";
import { STORE_ID_BYTES } from "../base/limits.js";
import { HINT_MAGIC } from "../format/hint-layout.js";
import { MANIFEST_MAGIC } from "../format/manifest.js";
import { parseSegmentFileName } from "../format/segment-name.js";
import { errorCode, type File } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import { nodeHost } from "../host/node-host.js";
import { STORE_MARK_MAGIC } from "../storage/store-mark.js";
import { parseByteText } from "./byte-text.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { inspectHint } from "./inspect-hint.js";
import { inspectManifest, inspectStoreMark } from "./inspect-manifest.js";
import { inspectSegment } from "./inspect-segment.js";
import type { Inspection } from "./inspection.js";
import { addFormatFlags, type FormatFlags, readFormat } from "./key-flags.js";
import { FaultList, UsageError } from "./usage-error.js";
import type { DeclareVerb } from "./verb.js";
import { readCount } from "./write-flags.js";

const help = `
FILE is a segment (.seg), a hint (.hint), MANIFEST, MANIFEST.prev or STORE. Keys
are shown escaped and shortened, values as lengths; with --json every line is a
JSON object with the whole key. The checksums of a segment need the store's id,
which is taken from STORE beside it, from the manifest above it, or from
--store-id. The exit code is 6 if damage was found that is no mere unfinished end.

Examples:
  kvix inspect data/MANIFEST
  kvix inspect data/segments/segment_00000_1795343433219000000.seg | less
  kvix inspect data/segments/segment_00000_1795343433219000000.hint --json
${exitCodesHelp}`;

interface InspectFlags extends FormatFlags {
  readonly json?: true;
  readonly values?: true;
  readonly limit?: string;
  readonly storeId?: string;
}

/** `kvix inspect FILE`. */
export const declareInspect: DeclareVerb = (command, context) => {
  addFormatFlags(command)
    .argument("<FILE>", "a segment, a hint, a manifest or STORE")
    .option("--values", "show values too, shortened; with --json whole")
    .option("--limit <N>", "stop after so many frames or entries")
    .option("--store-id <HEX>", "the id of the store, if it cannot be found beside the file")
    .option("--json", "print JSON, one object a line")
    .addHelpText("after", help)
    .action(async (name: string, flags: InspectFlags) => {
      const faults = new FaultList();
      const format = readFormat(flags, faults);
      const most = Number.MAX_SAFE_INTEGER;
      const limit =
        flags.limit === undefined ? most : readCount("--limit", flags.limit, 1, most, faults);
      const storeId = readStoreId(flags.storeId, faults);
      faults.throwIfAny();
      const host = nodeHost();
      const path = resolve(name);
      const file = await openFile(host, path, name);
      const asJson = flags.json === true;
      const withValues = flags.values === true;
      try {
        const shown = { asJson, withValues, format, limit, storeId, context };
        await inspect({ host, path, file, ...shown });
      } finally {
        await file.close();
      }
    });
};

function readStoreId(text: string | undefined, faults: FaultList): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const id = faults.collect(() => parseByteText(text, "hex", "--store-id"));
  if (id === undefined || id.length === STORE_ID_BYTES) return id;
  faults.add("--store-id", `has ${id.length} bytes; it must have ${STORE_ID_BYTES}`);
  return undefined;
}

async function openFile(host: Host, path: string, name: string): Promise<File> {
  try {
    return await host.files.open(path, "read");
  } catch (error) {
    const code = errorCode(error) ?? String(error);
    const problem =
      code === "EISDIR"
        ? "is a directory; inspect takes a file, `kvix verify` a directory"
        : `cannot be opened: ${code}`;
    throw new UsageError([{ option: name, problem }]);
  }
}

const MAGIC_BYTES = 8;

async function inspect(inspection: Inspection): Promise<void> {
  const { file, path } = inspection;
  const start = new Uint8Array(MAGIC_BYTES);
  await file.read(start, 0);
  const isLike = (magic: Uint8Array): boolean => Buffer.compare(start, magic) === 0;
  const named = parseSegmentFileName(basename(path));
  if (named?.kind === "segment") return await inspectSegment(inspection, named);
  if (named?.kind === "hint" || isLike(HINT_MAGIC)) return await inspectHint(inspection);
  if (isLike(MANIFEST_MAGIC) || basename(path).startsWith("MANIFEST")) {
    return await inspectManifest(inspection);
  }
  if (isLike(STORE_MARK_MAGIC)) return await inspectStoreMark(inspection);
  throw new CommandEnd(
    ExitCode.USAGE,
    `${path} is no segment, hint or manifest; a segment keeps its name ` +
      "({prefix}_{id}_{timestamp}.seg), which says how it is read",
  );
}
