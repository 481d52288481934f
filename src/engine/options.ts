/**
 * The options of a store: one table with default, range and meaning. It gives
 * validation, the flags of the command and the tables of the documents.
 *
 * Outside a range is an error that names option, value and range; nothing is
 * ignored or clamped, and all faults are reported at once.
 */
import { isAbsolute, join, resolve } from "node:path";
import { KvixError } from "../base/kvix-error.js";
import { isValidPrefix } from "../format/segment-name.js";
import { parseWindow, WINDOW_FORM } from "./compaction/window.js";
import { CACHE_BYTES_MAX } from "./record-cache.js";
import type { Durability } from "./store.js";

/** What to do about damage found at opening. */
export type RecoveryPolicy = "degraded" | "strict";

/** Whether compaction runs by itself, or only when it is asked for. */
export type CompactionMode = "scheduled" | "manual";

/** The options of a store, as a caller gives them; only `dataDir` is required. */
export interface StoreOptionsInput {
  readonly dataDir: string;
  readonly segmentDir?: string | undefined;
  readonly segmentPrefix?: string | undefined;
  readonly segmentBytesMax?: number | undefined;
  readonly durability?: Durability | undefined;
  readonly flushIntervalMs?: number | undefined;
  readonly indexBytesMax?: number | undefined;
  readonly cacheBytesMax?: number | undefined;
  readonly inFlightBytesMax?: number | undefined;
  readonly diskReserveBytes?: number | undefined;
  readonly recovery?: RecoveryPolicy | undefined;
  readonly compaction?: CompactionMode | undefined;
  readonly compactionIntervalMs?: number | undefined;
  readonly compactionWindow?: string | undefined;
  readonly compactionDeadPercent?: number | undefined;
  readonly compactionBytesPerSecondMax?: number | undefined;
  readonly watchRetentionMs?: number | undefined;
  readonly openFilesMax?: number | undefined;
  readonly trustClock?: boolean | undefined;
  readonly liftFloors?: boolean | undefined;
}

/** The options of a store, complete and checked. */
export type StoreOptions = {
  readonly [Name in keyof StoreOptionsInput]-?: Exclude<StoreOptionsInput[Name], undefined>;
};

/** One option that is a whole number. */
export interface NumberOption {
  readonly kind: "number";
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** The minimum with `liftFloors`; the same if left out. */
  readonly floorLifted?: number;
  readonly unit: "bytes" | "ms" | "calls" | "connections" | "percent" | "files";
  readonly sentence: string;
}

/** One option that is a word out of a few. */
export interface ChoiceOption {
  readonly kind: "choice";
  readonly default: string;
  readonly choices: readonly string[];
  readonly sentence: string;
}

/** One option that is on or off. */
export interface SwitchOption {
  readonly kind: "switch";
  readonly default: false;
  readonly sentence: string;
}

/** One option that is free text. */
export interface TextOption {
  readonly kind: "text";
  readonly default: string;
  readonly sentence: string;
}

/** What the table says of one option. */
export type StoreOption = NumberOption | ChoiceOption | SwitchOption | TextOption;

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Every option of a store. */
export const storeOptionTable: Readonly<Record<keyof StoreOptionsInput, StoreOption>> = {
  dataDir: {
    kind: "text",
    default: "/var/lib/kvix",
    sentence: "The directory that holds the manifest and the lock; made if it is missing.",
  },
  segmentDir: {
    kind: "text",
    default: "",
    sentence: "The directory that holds the segments; by default `segments` in the data directory.",
  },
  segmentPrefix: {
    kind: "text",
    default: "segment",
    sentence: "What the names of new segments start with: 1 to 64 of A-Z a-z 0-9 _ and -.",
  },
  segmentBytesMax: {
    kind: "number",
    default: GiB,
    min: 512 * MiB,
    max: 4 * GiB,
    floorLifted: 128,
    unit: "bytes",
    sentence: "A segment that has reached this size is sealed and a new one begun.",
  },
  durability: {
    kind: "choice",
    default: "sync",
    choices: ["sync", "buffered"],
    sentence:
      "When a write that does not say otherwise is acknowledged: once synced, or once written.",
  },
  flushIntervalMs: {
    kind: "number",
    default: 100,
    min: 1,
    max: 1000,
    unit: "ms",
    sentence: "How long a buffered write may wait for its sync.",
  },
  indexBytesMax: {
    kind: "number",
    default: Number.MAX_SAFE_INTEGER,
    min: 16 * MiB,
    max: Number.MAX_SAFE_INTEGER,
    floorLifted: 1,
    unit: "bytes",
    sentence: "How much memory the index may take; beyond it new keys are refused.",
  },
  cacheBytesMax: {
    kind: "number",
    default: CACHE_BYTES_MAX,
    min: 0,
    max: CACHE_BYTES_MAX,
    unit: "bytes",
    sentence:
      "How much memory small records that were read lately may take, within a sixteenth of all memory; 0: none.",
  },
  inFlightBytesMax: {
    kind: "number",
    default: 64 * MiB,
    min: MiB,
    max: 4 * GiB,
    floorLifted: 1,
    unit: "bytes",
    sentence: "How many bytes of accepted writes may wait for the disk; further calls queue.",
  },
  diskReserveBytes: {
    kind: "number",
    default: 64 * MiB,
    min: 16 * MiB,
    max: 1024 * GiB,
    floorLifted: 0,
    unit: "bytes",
    sentence: "Free disk space that only deletes may use, beside what a compaction needs.",
  },
  recovery: {
    kind: "choice",
    default: "degraded",
    choices: ["degraded", "strict"],
    sentence: "On damage at opening: serve what is left and say so, or refuse.",
  },
  compaction: {
    kind: "choice",
    default: "scheduled",
    choices: ["scheduled", "manual"],
    sentence: "Whether compaction runs by itself, or only when it is asked for.",
  },
  compactionIntervalMs: {
    kind: "number",
    default: 5 * HOUR_MS,
    min: 5 * HOUR_MS,
    max: 168 * HOUR_MS,
    floorLifted: 1,
    unit: "ms",
    sentence:
      "How long after the end of a compaction the next one begins, if dead bytes do not begin it earlier.",
  },
  compactionWindow: {
    kind: "text",
    default: "",
    sentence:
      "The hours of the day, UTC, in which compaction may run by itself, such as 22-6; by default all.",
  },
  compactionDeadPercent: {
    kind: "number",
    default: 31,
    min: 10,
    max: 90,
    unit: "percent",
    sentence: "Compaction begins when so much of all bytes is dead, and at least 64 MiB.",
  },
  compactionBytesPerSecondMax: {
    kind: "number",
    default: 64 * MiB,
    min: MiB,
    max: 16 * GiB,
    floorLifted: 1,
    unit: "bytes",
    sentence: "How many bytes compaction reads and writes a second; less while others wait.",
  },
  watchRetentionMs: {
    kind: "number",
    default: 10 * MINUTE_MS,
    min: 0,
    max: 168 * HOUR_MS,
    unit: "ms",
    sentence:
      "How long the log keeps its history from compaction, for watchers that resume; at most 1 GiB of it.",
  },
  openFilesMax: {
    kind: "number",
    default: 512,
    min: 16,
    max: 65_536,
    floorLifted: 1,
    unit: "files",
    sentence: "How many sealed segments are kept open; the others are opened when they are read.",
  },
  trustClock: {
    kind: "switch",
    default: false,
    sentence: "Let the expiry sweep run although the wall clock looks wrong.",
  },
  liftFloors: {
    kind: "switch",
    default: false,
    sentence: "Allow sizes below their minimum, for tests, benches and small devices.",
  },
};

/** One thing that is wrong with an option. */
export interface OptionFault {
  readonly option: string;
  readonly problem: string;
}

/** The error that reports faults, all at once. */
export function optionError(faults: readonly OptionFault[]): KvixError {
  const detail = faults.map((fault) => `${fault.option} ${fault.problem}`).join("; ");
  const metadata = Object.fromEntries(faults.map((fault) => [fault.option, fault.problem]));
  return new KvixError("OPTION_INVALID", detail, { metadata });
}

/** What is wrong with the value of an option; undefined: nothing. */
export function optionProblem(
  option: StoreOption,
  value: unknown,
  floorsLifted: boolean,
): string | undefined {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  switch (option.kind) {
    case "number": {
      const min = floorsLifted ? (option.floorLifted ?? option.min) : option.min;
      const isGood =
        Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= option.max;
      if (isGood) return undefined;
      return `is ${shown}; it must be a whole number of ${option.unit} from ${min} to ${option.max}`;
    }
    case "choice":
      if (typeof value === "string" && option.choices.includes(value)) return undefined;
      return `is ${shown}; it must be ${option.choices.join(" or ")}`;
    case "switch":
      return typeof value === "boolean" ? undefined : `is ${shown}; it must be true or false`;
    case "text":
      return typeof value === "string" && !value.includes("\0")
        ? undefined
        : `is ${shown}; it must be text`;
  }
}

/** Fills in the defaults and checks everything. Throws OPTION_INVALID with all faults. */
export function resolveStoreOptions(input: StoreOptionsInput): StoreOptions {
  const given = input as unknown as Readonly<Record<string, unknown>>;
  const faults: OptionFault[] = [];
  const resolved: Record<string, unknown> = {};
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(storeOptionTable, name))
      faults.push({ option: name, problem: "is not an option" });
  }
  for (const [name, option] of Object.entries(storeOptionTable)) {
    const value = given[name] ?? option.default;
    const problem = optionProblem(option, value, given["liftFloors"] === true);
    if (problem !== undefined) faults.push({ option: name, problem });
    resolved[name] = value;
  }
  if (given["dataDir"] === undefined || given["dataDir"] === "") {
    faults.push({ option: "dataDir", problem: "is missing; it must name a directory" });
  }
  const prefix = resolved["segmentPrefix"];
  if (typeof prefix === "string" && !isValidPrefix(prefix)) {
    faults.push({
      option: "segmentPrefix",
      problem: `is ${JSON.stringify(prefix)}; it must be 1 to 64 of A-Z a-z 0-9 _ and -`,
    });
  }
  const window = resolved["compactionWindow"];
  if (typeof window === "string" && parseWindow(window) === undefined) {
    faults.push({
      option: "compactionWindow",
      problem: `is ${JSON.stringify(window)}; it must be ${WINDOW_FORM}`,
    });
  }
  if (faults.length > 0) throw optionError(faults);
  const dataDir = resolve(String(resolved["dataDir"]));
  const segmentDir = String(resolved["segmentDir"]);
  resolved["dataDir"] = dataDir;
  resolved["segmentDir"] =
    segmentDir === ""
      ? join(dataDir, "segments")
      : isAbsolute(segmentDir)
        ? segmentDir
        : resolve(segmentDir);
  return resolved as unknown as StoreOptions;
}
