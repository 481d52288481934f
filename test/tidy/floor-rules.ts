/**
 * The floors of the house as data, and the rules that hold the imports to them.
 *
 *     cli > service > rpc > engine > storage > format > base, host
 *                embedded > engine, kv      client > rpc, kv      adapters > kv
 *
 * An arrow only points down; src/index.ts stands on top of all; src/kv is what the
 * doors of a program have in common, and knows neither engine nor wire; gen/ may be
 * imported by all. Rules take files and give violations, so that an example
 * that breaks a rule shows that the rule can fail.
 */
import { file_kvix_v1_kvix } from "../../gen/kvix/v1/kvix_pb.js";
import { resolveImport, type SourceFile } from "./source-tree.js";

/** What each floor may import beside itself and gen/. */
export const floorsBelow: Readonly<Record<string, readonly string[]>> = {
  base: [],
  host: ["base"],
  format: ["base"],
  storage: ["base", "host", "format"],
  engine: ["base", "host", "format", "storage"],
  // Both ends of the wire: a client must not bring the engine with it.
  rpc: ["base", "host", "format"],
  service: ["base", "host", "format", "storage", "engine", "rpc"],
  kv: ["base"],
  embedded: ["base", "host", "format", "storage", "engine", "kv"],
  // A program with a client brings no engine with it.
  client: ["base", "host", "format", "rpc", "kv"],
  // What adapts a store to others' interfaces takes either door.
  adapters: ["base", "kv"],
  cli: ["base", "host", "format", "storage", "engine", "rpc", "service"],
};

const floorsUnderApi = new Set(["base", "host", "format", "storage", "engine"]);

/** The floor of a path: the folder below src/; "top" for src/index.ts; undefined elsewhere. */
export function floorOf(path: string): string | undefined {
  if (path === "src/index.ts") return "top";
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

/** Imports that point up or sideways, leave src/ and gen/, or cannot be read. */
export function upwardImports(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const floor = floorOf(file.path);
    if (floor === undefined) return [`${file.path}: lies on no floor`];
    const allowed = floor === "top" ? Object.keys(floorsBelow) : floorsBelow[floor];
    if (allowed === undefined) return [`${file.path}: src/${floor} is no floor`];
    return file.imports.flatMap((line) => {
      const place = `${file.path}:${line.line}`;
      if (line.kind === "unresolved") return [`${place}: imports what only running it can tell`];
      const target = resolveImport(file.path, line.specifier);
      if (target === undefined || target.startsWith("gen/")) return [];
      const below = floorOf(target);
      if (below === undefined) return [`${place}: leaves src/ and gen/ for ${target}`];
      if (below === floor || allowed.includes(below)) return [];
      return [`${place}: src/${floor} must not import src/${below}`];
    });
  });
}

/** Relative imports that lead to no file of the tree. */
export function danglingImports(
  files: readonly SourceFile[],
  known: ReadonlySet<string>,
): string[] {
  return files.flatMap((file) =>
    file.imports.flatMap((line) => {
      const target = resolveImport(file.path, line.specifier);
      if (target === undefined || known.has(target)) return [];
      return [`${file.path}:${line.line}: ${line.specifier} leads nowhere`];
    }),
  );
}

/** The cycles of the import graph, each once, as "a > b > a". */
export function importCycles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start !== -1) cycles.push([...trail.slice(start), path].join(" > "));
    if (start !== -1 || done.has(path)) return;
    for (const line of byPath.get(path)?.imports ?? []) {
      const target = resolveImport(path, line.specifier);
      if (target !== undefined && byPath.has(target)) walk(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const file of files) walk(file.path, []);
  return cycles;
}

/** The messages and services of the API: what the engine and all below it must never see. */
export const apiNames: ReadonlySet<string> = new Set(
  file_kvix_v1_kvix.services.flatMap((service) => [
    service.name,
    ...service.methods.flatMap(({ input, output }) => [
      input.name,
      `${input.name}Schema`,
      output.name,
      `${output.name}Schema`,
    ]),
  ]),
);

/** API messages imported by the engine or a floor below it. */
export function apiImportsBelowService(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    if (!floorsUnderApi.has(floorOf(file.path) ?? "")) return [];
    return file.imports.flatMap((line) => {
      if (!resolveImport(file.path, line.specifier)?.startsWith("gen/")) return [];
      const place = `${file.path}:${line.line}`;
      if (line.kind !== "named") return [`${place}: imports all of gen/`];
      return line.names
        .filter((name) => apiNames.has(name))
        .map((name) => `${place}: ${name} is a message of the API`);
    });
  });
}
