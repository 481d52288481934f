/** What `kvix inspect` looks at, and how it is to be shown. */
import { dirname } from "node:path";
import type { File } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import type { ByteFormat } from "./byte-text.js";
import type { VerbContext } from "./verb.js";

/** One file under inspection. */
export interface Inspection {
  readonly host: Host;
  readonly path: string;
  readonly file: File;
  readonly asJson: boolean;
  readonly withValues: boolean;
  readonly format: ByteFormat;
  /** How many frames or entries are shown. */
  readonly limit: number;
  /** If it was given on the command line. */
  readonly storeId: Uint8Array | undefined;
  readonly context: VerbContext;
}

/** The directory that the file lies in. */
export function directoryOf({ path }: Inspection): string {
  return dirname(path);
}

/** A checksum as people compare it. */
export function hex32(checksum: number): string {
  return checksum.toString(16).padStart(8, "0");
}
