/**
 * Rules about the text of a file: what only the host may touch, what nobody
 * may write, how long a file and how a file's name may be. Every rule takes
 * files and gives violations as "path:line: what".
 */
import { basename } from "node:path";
import { findInCode, lineAt, type SourceFile } from "./source-tree.js";

/** More lines than this fail. */
export const linesMax = 400;
/** More lines than this are worth a second look. */
export const linesGood = 300;

const machineModules = new Set([
  "fs",
  "fs/promises",
  "timers",
  "timers/promises",
  "perf_hooks",
  "child_process",
]);

const randomNames = new Set([
  "randomBytes",
  "randomFill",
  "randomFillSync",
  "randomInt",
  "randomUUID",
  "getRandomValues",
  "webcrypto",
]);

const machinePatterns: readonly (readonly [RegExp, string])[] = [
  [/(?<![\w.])(?:globalThis\.)?(?:set|clear)(?:Timeout|Interval|Immediate)\b/g, "a timer"],
  [/\bDate\.now\b/g, "the wall clock"],
  [/\bnew Date\(\s*\)/g, "the wall clock"],
  [/\bperformance\.(?:now|timeOrigin)\b/g, "the monotonic clock"],
  [/\bprocess\.(?:hrtime|uptime)\b/g, "the monotonic clock"],
  [/\bMath\.random\b/g, "randomness"],
  [/\bcrypto\.(?:random\w+|getRandomValues)\b/g, "randomness"],
  [/\bAbortSignal\.timeout\b/g, "a timer"],
];

/** Files, time and randomness taken from anywhere but src/host. */
export function machineOutsideHost(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => !file.path.startsWith("src/host/"))
    .flatMap((file) => [
      ...file.imports.flatMap((line) => {
        const place = `${file.path}:${line.line}`;
        const name = line.specifier.replace(/^node:/, "");
        if (machineModules.has(name)) return [`${place}: ${line.specifier} belongs to src/host`];
        if (name !== "crypto") return [];
        if (line.kind !== "named") return [`${place}: all of node:crypto`];
        return line.names
          .filter((imported) => randomNames.has(imported))
          .map((imported) => `${place}: randomness (${imported})`);
      }),
      ...machinePatterns.flatMap(([pattern, what]) => findInCode(file, pattern, what)),
    ]);
}

/** `export default` and `export * from`, which hide what a name is and where it comes from. */
export function anonymousExports(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => [
    ...findInCode(file, /\bexport\s+default\b/g, "a default export"),
    ...findInCode(file, /\bexport\s*\{[^}]*\bas\s+default\b/g, "a default export"),
    ...findInCode(file, /\bexport\s*(?:type\s*)?\*/g, "an export of everything"),
  ]);
}

// In two parts, so that this file does not break its own rule.
const unfinishedMarks = new RegExp(
  `\\b(?:${["TO" + "DO", "FIX" + "ME", "XX" + "X"].join("|")})\\b`,
  "g",
);

/** Notes of work that is left undone. */
export function unfinishedWork(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    [...file.text.matchAll(unfinishedMarks)].map(
      (match) => `${file.path}:${lineAt(file.text, match.index)}: ${match[0]}`,
    ),
  );
}

/** Tests that run alone, or do not run. */
export function selectedTests(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => file.path.startsWith("test/"))
    .flatMap((file) => [
      ...findInCode(
        file,
        /\b(?:test|it|describe|suite|context|t)\.(?:only|skip|todo)\b/g,
        "a selected test",
      ),
      ...findInCode(
        file,
        /\b(?:only|skip|todo)\s*:(?!\s*(?:boolean|string|undefined)\b)/g,
        "a selected test",
      ),
    ]);
}

/** Output that goes past the log. */
export function consoleUse(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => findInCode(file, /(?<![\w.])console\s*[.[]/g, "the console"));
}

/** How many lines a file has. */
export function lineCount(file: SourceFile): number {
  return file.text.split("\n").length - (file.text.endsWith("\n") ? 1 : 0);
}

/** Files longer than `limit` lines. */
export function longFiles(files: readonly SourceFile[], limit: number): string[] {
  return files
    .filter((file) => lineCount(file) > limit)
    .map((file) => `${file.path}: ${lineCount(file)} lines, ${limit} are allowed`);
}

const emptyNouns = /^(?:utils?|helpers?|commons?|misc|shared|managers?|types|impl|index)$/;

/** File names that are not kebab-case, or say nothing. */
export function poorNames(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    if (file.path === "src/index.ts") return [];
    const stem = basename(file.path).replace(/(?:\.test)?\.ts$/, "");
    if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(stem)) return [`${file.path}: is not kebab-case`];
    if (emptyNouns.test(stem)) return [`${file.path}: names nothing in particular`];
    return [];
  });
}

/** Every file starts with a comment that says what it is. */
export function headlessFiles(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => !/^(?:#![^\n]*\n)?\/(?:\*\*|\/)/.test(file.text))
    .map((file) => `${file.path}: does not start with what it is`);
}
