/**
 * The tables of the documents that come from the code: limits, rpcs, fields of
 * requests, options, errors, exit codes and findings. `npm test -- test/tidy`
 * with KVIX_WRITE_PAGES=1 writes them; without it the tests compare.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema, MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { markdownTable } from "../../bench/page-section.js";
import { errorCatalogue } from "../../src/base/error-catalogue.js";
import * as limits from "../../src/base/limits.js";
import { exitCodeTable } from "../../src/cli/exit-code.js";
import { serveOptionTable, variableOf } from "../../src/cli/serve-option-table.js";
import { type StoreOption, storeOptionTable } from "../../src/engine/options.js";
import { findingCatalogue } from "../../src/engine/verify-findings.js";
import { isServing, WRITE_READINESS } from "../../src/service/health.js";
import { type ServerState, serverStates } from "../../src/service/server-life.js";
import { serverOptionTable } from "../../src/service/server-options.js";
import { rotTable } from "../lab/rot/verdicts.js";
import { repositoryRoot } from "../support/paths.js";
import { requestFields } from "../support/request-fields.js";
import {
  renderInstruments,
  renderInvariants,
  renderPlants,
  renderProperties,
} from "./property-tables.js";

/** A generated table and where it stands. */
export interface GeneratedTable {
  readonly page: string;
  readonly section: string;
  readonly content: string;
}

/** The limits of the contract that a user meets: what they bound, and what bounds it below. */
const limitRows: readonly (readonly [what: string, least: string, name: LimitName])[] = [
  ["key", "1 byte", "KEY_BYTES_MAX"],
  ["value", "0 bytes", "VALUE_BYTES_MAX"],
  ["version", "1", "VERSION_MAX"],
  ["segment id", "0", "SEGMENT_ID_MAX"],
  ["expiry", "0", "EXPIRES_AT_MS_MAX"],
  ["mutations, and conditions, of a commit", "1", "BATCH_MUTATIONS_MAX"],
  ["frame of a commit", "1 byte", "BATCH_BYTES_MAX"],
  ["id of a request", "16 bytes", "REQUEST_ID_BYTES_MAX"],
  ["records of a page", "1", "PAGE_RECORDS_MAX"],
  ["page", "1 byte", "PAGE_BYTES_MAX"],
  ["keys of a BatchGet", "1", "BATCH_KEYS_MAX"],
  ["records that a DeleteRange removes", "1", "RANGE_DELETES_MAX"],
];

/** The name of a number in src/base/limits.ts. */
export type LimitName = Exclude<
  keyof typeof limits,
  "STORE_ID_BYTES" | "PAGE_RECORDS_DEFAULT" | "REQUEST_ID_BYTES_MIN"
>;

const limitValues: Readonly<Record<LimitName, number>> = { ...limits };

/** The names of the limits that have a row. */
export const limitNames: readonly string[] = limitRows.map(([, , name]) => name);

/** Every generated table, rendered. */
export function renderTables(): GeneratedTable[] {
  return [
    { page: "README.md", section: "limits", content: renderLimits() },
    { page: "docs/api.md", section: "rpcs", content: renderRpcs() },
    { page: "docs/api.md", section: "fields", content: renderFields() },
    { page: "docs/api.md", section: "errors", content: renderErrors() },
    { page: "docs/api.md", section: "options", content: renderOptions() },
    { page: "docs/operations.md", section: "serve-options", content: renderServeOptions() },
    { page: "docs/operations.md", section: "exit-codes", content: renderExitCodes() },
    { page: "docs/operations.md", section: "findings", content: renderFindings() },
    { page: "docs/api.md", section: "health", content: renderHealth() },
    { page: "docs/server.md", section: "server-options", content: renderServerOptions() },
    { page: "docs/architecture.md", section: "invariants", content: renderInvariants() },
    { page: "docs/testing.md", section: "instruments", content: renderInstruments() },
    { page: "docs/testing.md", section: "rot-verdicts", content: `${rotTable().join("\n")}\n` },
    { page: "docs/testing.md", section: "plants", content: renderPlants() },
    { page: "docs/testing.md", section: "properties", content: renderProperties() },
    ...recipes.map((name) => ({
      page: "docs/recipes.md",
      section: `recipe-${name}`,
      content: renderRecipe(name),
    })),
  ];
}

/** The programs of examples/recipes that docs/recipes.md shows. */
const recipes = ["lock", "leader", "rate-limiter", "once", "work-queue"];

/** A recipe as it stands in its file. */
function renderRecipe(name: string): string {
  const text = readFileSync(join(repositoryRoot, "examples", "recipes", `${name}.ts`), "utf8");
  return `\`\`\`ts\n${text}\`\`\`\n`;
}

function renderLimits(): string {
  const contract = limitRows.map(([what, least, name]) => [
    what,
    least,
    amount(limitValues[name], unitOf(name)),
    "",
    `\`${name}\``,
  ]);
  const options = Object.entries(storeOptionTable).flatMap(([name, option]) => {
    if (option.kind !== "number") return [];
    return [[words(name), least(option), most(option), defaultOf(option), `\`${name}\``]];
  });
  return markdownTable(["limit", "from", "to", "default", "name"], [...contract, ...options]);
}

/** The numbers of `service` in a file and of `method` in a service, for paths of source information. */
const SERVICE = 6;
const METHOD = 2;

/** Every rpc of kvix.v1 with the first sentence of its comment. */
function renderRpcs(): string {
  const bytes = readFileSync(join(repositoryRoot, "gen", "descriptors.binpb"));
  const file = fromBinary(FileDescriptorSetSchema, bytes).file.find(
    (each) => each.package === "kvix.v1",
  );
  const comments = new Map(
    file?.sourceCodeInfo?.location.map(({ path, leadingComments }) => [
      path.join("."),
      leadingComments,
    ]),
  );
  const rows = (file?.service ?? []).flatMap((service, at) =>
    service.method.map((method, index) => {
      const comment = comments.get([SERVICE, at, METHOD, index].join(".")) ?? "";
      const [sentence = ""] = comment
        .replace(/\s+/g, " ")
        .trim()
        .split(/(?<=\.) /);
      const level = method.options?.idempotencyLevel ?? 0;
      return [`${service.name}.${method.name}`, sentence, repeats[level]];
    }),
  );
  return markdownTable(["rpc", "what it does", "repeating it"], rows);
}

const repeats: Readonly<Record<MethodOptions_IdempotencyLevel, string>> = {
  [MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN]: "[see](#order-and-repetition)",
  [MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS]: "changes nothing",
  [MethodOptions_IdempotencyLevel.IDEMPOTENT]: "is the same as once",
};

function renderFields(): string {
  const rows = requestFields.map(({ field, rpcs, range, leftOut }) => [
    `\`${field}\``,
    rpcs.map((rpc) => rpc.slice(rpc.indexOf(".") + 1)).join(", "),
    range !== "" ? range : leftOut === "false" ? "true or false" : "any number of 64 bits",
    leftOut,
  ]);
  return markdownTable(["field", "of", "must be", "left out"], rows);
}

function renderErrors(): string {
  const rows = Object.entries(errorCatalogue).map(([reason, row]) => [
    reason,
    row.status,
    row.outcome,
    row.retry,
    row.sentence,
    row.operator,
  ]);
  return markdownTable(["reason", "status", "outcome", "retry", "meaning", "operator"], rows);
}

function renderOptions(): string {
  const rows = Object.entries(storeOptionTable).map(([name, option]) => [
    `\`${name}\``,
    rangeOf(option),
    name === "dataDir" ? "none when embedded" : defaultOf(option),
    option.sentence,
  ]);
  return markdownTable(["option", "range", "default", "meaning"], rows);
}

function renderServeOptions(): string {
  const rows = serveOptionTable.map((option) => [
    `\`${option.flag}\``,
    `\`${variableOf(option)}\``,
    rangeOf(option.rule),
    defaultOf(option.rule),
    option.rule.sentence,
  ]);
  return markdownTable(["flag", "variable", "range", "default", "meaning"], rows);
}

function renderExitCodes(): string {
  const rows = Object.values(exitCodeTable).map(({ code, sentence }) => [String(code), sentence]);
  return markdownTable(["code", "meaning"], rows);
}

function renderFindings(): string {
  const rows = Object.entries(findingCatalogue).map(([kind, { severity, meaning, action }]) => [
    kind,
    severity,
    meaning,
    action,
  ]);
  return markdownTable(["finding", "severity", "meaning", "what to do"], rows);
}

function renderServerOptions(): string {
  const rows = Object.entries(serverOptionTable).map(([name, option]) => [
    `\`${name}\``,
    rangeOf(option),
    option.kind === "text" ? "none" : defaultOf(option),
    option.sentence,
  ]);
  return markdownTable(["option", "range", "default", "meaning"], rows);
}

function renderHealth(): string {
  const word = (state: ServerState, name: string): string =>
    isServing(state, name) ? "SERVING" : "NOT_SERVING";
  const rows = serverStates.map((state) => [
    state.toUpperCase(),
    word(state, ""),
    word(state, WRITE_READINESS),
  ]);
  return markdownTable(["state", "the server and each service", `\`${WRITE_READINESS}\``], rows);
}

function rangeOf(option: StoreOption): string {
  if (option.kind === "number") return `${least(option)} to ${most(option)}`;
  if (option.kind === "choice") return option.choices.join(", ");
  return option.kind === "switch" ? "true, false" : "text";
}

function defaultOf(option: StoreOption): string {
  if (option.kind === "number") return bounded(option.default, option.unit);
  if (option.kind === "text" && option.default === "") return "see the meaning";
  return String(option.default);
}

type NumberOption = Extract<StoreOption, { kind: "number" }>;

function least(option: NumberOption): string {
  const usual = amount(option.min, option.unit);
  const lifted = option.floorLifted;
  return lifted === undefined ? usual : `${usual} (${amount(lifted, option.unit)})`;
}

const most = (option: NumberOption): string => bounded(option.max, option.unit);

function bounded(value: number, unit: string): string {
  return value === Number.MAX_SAFE_INTEGER ? "no limit" : amount(value, unit);
}

function unitOf(name: string): string {
  if (name.endsWith("_BYTES_MAX")) return "bytes";
  return name.endsWith("_MS_MAX") ? "ms since 1970" : "";
}

const HOUR_MS = 3_600_000;

/** A number as people read it: in the largest binary unit that divides it, in hours, or with commas. */
function amount(value: number, unit: string): string {
  if (unit === "bytes") {
    for (const [name, size] of [
      ["GiB", 2 ** 30],
      ["MiB", 2 ** 20],
    ] as const) {
      if (value >= size && value % size === 0) return `${grouped(value / size)} ${name}`;
    }
    return value === 1 ? "1 byte" : `${grouped(value)} bytes`;
  }
  if (unit === "percent") return `${value} %`;
  if (unit === "ms" && value >= HOUR_MS && value % HOUR_MS === 0) {
    return `${grouped(value / HOUR_MS)} h`;
  }
  return `${grouped(value)} ${value === 1 ? unit.replace(/(?<=\w{3})s$/, "") : unit}`.trim();
}

const grouped = (value: number): string => value.toLocaleString("en-US");

const words = (name: string): string =>
  name.replace(/(?:Bytes)?(?:Max)?(?:Ms)?$/, "").replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`);
