/**
 * What `kvix serve` was asked to do: the options of the table, from wherever
 * they were given, checked by whose they are. All faults are told at once,
 * each by the place where the value was written.
 */
import { type Command, Option } from "commander";
import { resolveStoreOptions, type StoreOption, type StoreOptions } from "../engine/options.js";
import type { ServerOptions } from "../service/server.js";
import { type Address, addressRange, parseAddress } from "./address.js";
import {
  CONFIG_FLAG,
  type GivenFlags,
  type GivenOptions,
  gatherOptions,
  ownersValue,
} from "./option-sources.js";
import { formatBytesExactly, formatDurationExactly } from "./quantity.js";
import { type ServeOption, serveOptionTable } from "./serve-option-table.js";
import { FaultList, optionFaultsOf, UsageError, type UsageFault } from "./usage-error.js";

/** How the log is written. */
export type LogFormat = "auto" | "pretty" | "json";

/** What `kvix serve` was asked to do. */
export interface ServeOptions {
  readonly store: StoreOptions;
  readonly server: ServerOptions;
  readonly logLevel: string;
  readonly logFormat: LogFormat;
}

/** One option as it is in force, or as it was given if it is wrong. */
export interface EffectiveOption {
  readonly option: ServeOption;
  readonly value: unknown;
  /** "default", or where it was written. */
  readonly source: string;
}

/** Everything that was asked for, right or wrong. */
export interface ServeRequest {
  readonly effective: readonly EffectiveOption[];
  readonly faults: readonly UsageFault[];
  /** Undefined if there are faults. */
  readonly options: ServeOptions | undefined;
}

/** Declares the flags on the command, with default and range in the help. */
export function addServeFlags(command: Command): void {
  for (const { flag, placeholder, rule } of serveOptionTable) {
    const declared =
      rule.kind === "switch" ? `${flag} [${placeholder}]` : `${flag} <${placeholder}>`;
    command.addOption(new Option(declared, `${rule.sentence} ${rangeHelp(rule)}`.trim()));
  }
  const configHelp = "A TOML file with any of these options, by name without the dashes.";
  command.addOption(new Option(`${CONFIG_FLAG} <FILE>`, configHelp));
  command.allowUnknownOption().allowExcessArguments();
}

/** The flags that a command was given, and the arguments that are none of its options. */
export function readServeFlags(command: Command): { given: GivenFlags; strays: string[] } {
  const given = new Map<string, string | true>();
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName());
    if (value === true || typeof value === "string") given.set(option.long ?? "", value);
  }
  return { given, strays: straysOf(command.args) };
}

/** The arguments that are no option; what follows an unknown flag is taken for its value. */
function straysOf(args: readonly string[]): string[] {
  return args.filter((arg, index) => arg.startsWith("-") || !args[index - 1]?.startsWith("-"));
}

/** Reads and checks everything. Never throws for what was asked: the faults say it. */
export async function readServeRequest(
  flags: { readonly given: GivenFlags; readonly strays: readonly string[] },
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ServeRequest> {
  const faults = new FaultList();
  for (const stray of flags.strays) faults.add(stray, "is not an option of kvix serve");
  const given = await gatherOptions(flags.given, environment, faults);
  const values = new Map<string, unknown>();
  for (const option of serveOptionTable) {
    const value = given.get(option.flag);
    if (value !== undefined) values.set(option.name, ownersValue(option, value.value));
  }
  const options = resolve(values, given, faults);
  const effective = serveOptionTable.map((option): EffectiveOption => {
    const resolved = options === undefined ? undefined : valueIn(options, option);
    const value = resolved ?? values.get(option.name) ?? option.rule.default;
    return { option, value, source: given.get(option.flag)?.place ?? "default" };
  });
  return { effective, faults: faults.faults, options };
}

/** The options of a request without faults. Throws a UsageError with all of them. */
export function requireOptions({ options, faults }: ServeRequest): ServeOptions {
  if (options === undefined) throw new UsageError(faults);
  return options;
}

function resolve(
  values: ReadonlyMap<string, unknown>,
  given: GivenOptions,
  faults: FaultList,
): ServeOptions | undefined {
  const ruleFaults: UsageFault[] = [];
  const store = resolveStore(values, ruleFaults);
  const listen = resolveListen(values, ruleFaults);
  for (const option of serveOptionTable) {
    if (option.owner === "store" || option.name === "listen") continue;
    const problem = problemOf(option.rule, values.get(option.name) ?? option.rule.default);
    if (problem !== undefined) ruleFaults.push({ option: option.name, problem });
  }
  for (const { option: name, problem } of ruleFaults) {
    const flag = serveOptionTable.find((option) => option.name === name)?.flag ?? name;
    faults.add(given.get(flag)?.place ?? flag, problem);
  }
  if (faults.faults.length > 0 || store === undefined || listen === undefined) return undefined;
  const read = (name: string): unknown => values.get(name) ?? ruleOf(name).default;
  return {
    store,
    server: { listen, messageBytesMax: Number(read("messageBytesMax")) },
    logLevel: String(read("logLevel")),
    logFormat: String(read("logFormat")) as LogFormat,
  };
}

function resolveStore(
  values: ReadonlyMap<string, unknown>,
  faults: UsageFault[],
): StoreOptions | undefined {
  const input: Record<string, unknown> = { dataDir: ruleOf("dataDir").default };
  for (const { owner, name } of serveOptionTable) {
    if (owner === "store" && values.has(name)) input[name] = values.get(name);
  }
  try {
    return resolveStoreOptions(input as unknown as Parameters<typeof resolveStoreOptions>[0]);
  } catch (error) {
    faults.push(...optionFaultsOf(error));
    return undefined;
  }
}

function resolveListen(
  values: ReadonlyMap<string, unknown>,
  faults: UsageFault[],
): Address | undefined {
  const text = values.get("listen") ?? ruleOf("listen").default;
  const listen = typeof text === "string" ? parseAddress(text) : undefined;
  if (listen === undefined) {
    faults.push({
      option: "listen",
      problem: `is ${JSON.stringify(text)}; it must be ${addressRange}`,
    });
  }
  return listen;
}

/** What is wrong with a value of the command's own options, or of the server's. */
function problemOf(rule: StoreOption, value: unknown): string | undefined {
  const shown = JSON.stringify(value);
  if (rule.kind === "number") {
    const isGood = Number.isSafeInteger(value);
    if (isGood && Number(value) >= rule.min && Number(value) <= rule.max) return undefined;
    return `is ${shown}; it must be a whole number of ${rule.unit} from ${rule.min} to ${rule.max}`;
  }
  if (rule.kind === "choice" && !rule.choices.includes(String(value))) {
    return `is ${shown}; it must be one of ${rule.choices.join(", ")}`;
  }
  return undefined;
}

function ruleOf(name: string): StoreOption {
  const option = serveOptionTable.find((each) => each.name === name);
  if (option === undefined) throw new Error(`no option is called ${name}`);
  return option.rule;
}

function valueIn(options: ServeOptions, { owner, name }: ServeOption): unknown {
  if (owner === "store") return options.store[name as keyof StoreOptions];
  return undefined;
}

/** Range and default of an option in words. */
export function rangeHelp(rule: StoreOption): string {
  const shown = showValue(rule, rule.default);
  switch (rule.kind) {
    case "number":
      return `${showValue(rule, rule.min)} to ${showValue(rule, rule.max)}. Default: ${shown}.`;
    case "choice":
      return `${rule.choices.join(" or ")}. Default: ${shown}.`;
    case "text":
      return rule.default === "" ? "" : `Default: ${shown}.`;
    case "switch":
      return "";
  }
}

/** A value of an option as one would write it. */
export function showValue(rule: StoreOption, value: unknown): string {
  if (rule.kind !== "number" || typeof value !== "number") return String(value);
  if (value === Number.MAX_SAFE_INTEGER) return "no limit";
  return rule.unit === "bytes" ? formatBytesExactly(value) : formatDurationExactly(value);
}
