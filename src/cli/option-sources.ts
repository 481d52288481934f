/**
 * Where the value of an option of `kvix serve` comes from.
 *
 *     flag  over  variable  over  config file  over  default
 *
 * A key of the file, and a variable that starts with KVIX_, must be known: a
 * misspelt one would otherwise be a setting that silently does nothing. Every
 * fault is noted, none ends the reading.
 */
import { isUtf8 } from "node:buffer";
import { parse, TomlError } from "smol-toml";
import type { NumberOption } from "../engine/options.js";
import { errorCode } from "../host/file-system.js";
import { readUserFile } from "../host/user-file.js";
import { ENDPOINT_VARIABLE } from "./address.js";
import { parseBytesQuantity, parseDuration } from "./quantity.js";
import {
  configKeyOf,
  type ServeOption,
  serveOptionTable,
  variableOf,
} from "./serve-option-table.js";
import type { FaultList } from "./usage-error.js";

/** Names the config file on the command line, and in the environment. */
export const CONFIG_FLAG = "--config";
export const CONFIG_VARIABLE = "KVIX_CONFIG";
/** The largest config file, in bytes. */
const CONFIG_BYTES_MAX = 1024 * 1024;

/**
 * What Kubernetes sets in every pod beside a service that is called kvix:
 * nobody wrote these, so nobody misspelt them.
 */
const SERVICE_LINK =
  /^KVIX_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

/** A value that somebody gave. */
export interface GivenValue {
  /** As it was written: text, or what TOML has. */
  readonly value: unknown;
  /** Where it was written, for messages: "--listen", "KVIX_LISTEN", "listen in kvix.toml". */
  readonly place: string;
}

/** What was given, by the option's flag. */
export type GivenOptions = ReadonlyMap<string, GivenValue>;

/** What the command line has: by flag; `true` is a switch without a value. */
export type GivenFlags = ReadonlyMap<string, string | true>;

/** Reads all three sources. */
export async function gatherOptions(
  flags: GivenFlags,
  environment: Readonly<Record<string, string | undefined>>,
  faults: FaultList,
): Promise<GivenOptions> {
  const given = new Map<string, GivenValue>();
  const configPath = flags.get(CONFIG_FLAG) ?? environment[CONFIG_VARIABLE];
  if (configPath !== undefined) await takeFile(String(configPath), given, faults);
  takeEnvironment(environment, given, faults);
  for (const { flag } of serveOptionTable) {
    const value = flags.get(flag);
    if (value !== undefined) given.set(flag, { value, place: flag });
  }
  return given;
}

async function takeFile(
  path: string,
  given: Map<string, GivenValue>,
  faults: FaultList,
): Promise<void> {
  const table = await readConfig(path, faults);
  for (const [key, value] of Object.entries(table)) {
    const option = serveOptionTable.find((each) => configKeyOf(each) === key);
    const place = `${key} in ${path}`;
    if (option === undefined) faults.add(place, `is no option of kvix serve${suggestion(key)}`);
    else given.set(option.flag, { value, place });
  }
}

/** An option that ends or begins like the one that is none. */
function suggestion(key: string): string {
  const plain = key.replaceAll("_", "-").toLowerCase();
  const near = serveOptionTable.map(configKeyOf).find((each) => each === plain);
  return near === undefined ? "" : `; did you mean ${near}?`;
}

async function readConfig(path: string, faults: FaultList): Promise<Record<string, unknown>> {
  try {
    const bytes = await readUserFile(path, CONFIG_BYTES_MAX);
    if (!isUtf8(bytes)) throw new Error("it is not UTF-8");
    return parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    faults.add(path, `cannot be read as a config file: ${whyUnreadable(error)}`);
    return {};
  }
}

/** Without the lines of the file that a parser likes to show. */
function whyUnreadable(error: unknown): string {
  if (error instanceof TomlError) {
    const [sentence = ""] = error.message.split("\n");
    return `line ${error.line}, column ${error.column}: ${sentence}`;
  }
  return errorCode(error) ?? (error instanceof Error ? error.message : String(error));
}

function takeEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  given: Map<string, GivenValue>,
  faults: FaultList,
): void {
  const byVariable = new Map(serveOptionTable.map((option) => [variableOf(option), option]));
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith("KVIX_") || value === undefined) continue;
    if (variable === CONFIG_VARIABLE || variable === ENDPOINT_VARIABLE) continue;
    const option = byVariable.get(variable);
    if (option !== undefined) given.set(option.flag, { value, place: variable });
    else if (!SERVICE_LINK.test(variable)) faults.add(variable, "is no variable of kvix");
  }
}

/** What stands for a number that bounds nothing. */
export const NO_LIMIT = Number.MAX_SAFE_INTEGER;
export const NO_LIMIT_WORD = "unlimited";

/**
 * The value as the option's owner takes it: "64MiB" as a number, "true" as a
 * boolean. What cannot be read goes on as it is, so that the owner's complaint
 * shows what was written.
 */
export function ownersValue({ rule }: ServeOption, value: unknown): unknown {
  if (rule.kind === "switch") return value === "true" ? true : value === "false" ? false : value;
  if (rule.kind !== "number" || typeof value !== "string") return value;
  if (value === NO_LIMIT_WORD && rule.max === NO_LIMIT) return NO_LIMIT;
  return readQuantity[rule.unit](value) ?? value;
}

const readCount = (text: string): number | undefined =>
  /^\d+$/.test(text) ? Number(text) : undefined;

const readQuantity: Readonly<Record<NumberOption["unit"], (text: string) => number | undefined>> = {
  bytes: parseBytesQuantity,
  ms: (text) => parseDuration(text, "ms"),
  calls: readCount,
  connections: readCount,
  percent: readCount,
  files: readCount,
};
