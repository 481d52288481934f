/**
 * What `kvix serve` was asked to do: the options of the table, from wherever
 * they were given, checked by whose they are. All faults are told at once,
 * each by the place where the value was written.
 */
import { type Command, Option } from "commander";
import {
  optionProblem,
  resolveStoreOptions,
  type StoreOption,
  type StoreOptions,
  type StoreOptionsInput,
} from "../engine/options.js";
import {
  resolveServerOptions,
  type ServerOptions,
  type ServerOptionsInput,
} from "../service/server-options.js";
import { type Address, addressRange, parseAddress } from "./address.js";
import {
  CONFIG_FLAG,
  type GivenFlags,
  type GivenOptions,
  gatherOptions,
  NO_LIMIT,
  NO_LIMIT_WORD,
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
  const named: UsageFault[] = [];
  const dataDir = ruleOf("dataDir").default;
  const store = check(named, () =>
    resolveStoreOptions({ dataDir, ...inputOf("store", values) } as StoreOptionsInput),
  );
  const listen = resolveListen(values.get("listen") ?? ruleOf("listen").default, named);
  const server = check(named, () =>
    resolveServerOptions({ ...inputOf("server", values), listen } as ServerOptionsInput),
  );
  for (const { owner, name, rule } of serveOptionTable) {
    if (owner !== "command") continue;
    const problem = optionProblem(rule, values.get(name) ?? rule.default, false);
    if (problem !== undefined) named.push({ option: name, problem });
  }
  for (const { option: name, problem } of named) {
    const flag = serveOptionTable.find((option) => option.name === name)?.flag ?? name;
    faults.add(given.get(flag)?.place ?? flag, withFlags(problem));
  }
  if (faults.faults.length > 0 || store === undefined || server === undefined) return undefined;
  const command = (name: string): unknown => values.get(name) ?? ruleOf(name).default;
  const logFormat = command("logFormat") as LogFormat;
  return { store, server, logLevel: String(command("logLevel")), logFormat };
}

/** The problem with the options that it names as people know them. */
function withFlags(problem: string): string {
  return problem.replaceAll(/\b[a-z]+[A-Z]\w*/g, (name) => {
    return serveOptionTable.find((option) => option.name === name)?.flag ?? name;
  });
}

/** What was given of an owner's options, by its own names. */
function inputOf(
  owner: ServeOption["owner"],
  values: ReadonlyMap<string, unknown>,
): Readonly<Record<string, unknown>> {
  const own = serveOptionTable.filter(
    (option) => option.owner === owner && values.has(option.name),
  );
  return Object.fromEntries(own.map(({ name }) => [name, values.get(name)]));
}

/** What `read` gives; undefined after noting the faults of its OPTION_INVALID. */
function check<Options>(faults: UsageFault[], read: () => Options): Options | undefined {
  try {
    return read();
  } catch (error) {
    faults.push(...optionFaultsOf(error));
    return undefined;
  }
}

function resolveListen(value: unknown, faults: UsageFault[]): Address {
  const listen = typeof value === "string" ? parseAddress(value) : undefined;
  if (listen !== undefined) return listen;
  const problem = `is ${JSON.stringify(value)}; it must be ${addressRange}`;
  faults.push({ option: "listen", problem });
  return { host: "", port: 0 };
}

function ruleOf(name: string): StoreOption {
  const option = serveOptionTable.find((each) => each.name === name);
  if (option === undefined) throw new Error(`no option is called ${name}`);
  return option.rule;
}

/** An option's value after its owner has filled it in; undefined where that is what was given. */
function valueIn({ store, server }: ServeOptions, { owner, name }: ServeOption): unknown {
  if (owner === "command" || name === "listen") return undefined;
  return owner === "store"
    ? store[name as keyof StoreOptions]
    : server[name as keyof ServerOptions];
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
  if (value === NO_LIMIT) return NO_LIMIT_WORD;
  if (rule.unit === "bytes") return formatBytesExactly(value);
  return rule.unit === "ms" ? formatDurationExactly(value) : String(value);
}
