/**
 * The repository's TypeScript as the tidy rules see it: every file with its
 * text, its code (the text with comments and the insides of strings blanked,
 * line by line the same length) and its imports.
 *
 * The lexer knows strings, templates, comments and regular expressions, which
 * is all that the rules need; the compiler is the judge of everything else.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { repositoryRoot } from "../support/paths.js";

/** One import, re-export or dynamic import. */
export interface ImportLine {
  readonly line: number;
  readonly specifier: string;
  /** The imported names; empty for a namespace, a side effect or a dynamic import. */
  readonly names: readonly string[];
  readonly kind: "named" | "namespace" | "side-effect" | "dynamic" | "unresolved";
}

/** One TypeScript file; `path` is relative to the repository, with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly code: string;
  readonly imports: readonly ImportLine[];
}

/** A source file out of its text, for rules and for the examples that break them. */
export function sourceFile(path: string, text: string): SourceFile {
  const code = blankNonCode(text);
  return { path, text, code, imports: findImports(text, code) };
}

/** Every .ts file below the given folders of the repository, in path order. */
export function readSourceTree(...folders: readonly string[]): SourceFile[] {
  return folders
    .flatMap((folder) => listFiles(folder, ".ts"))
    .map((path) => sourceFile(path, readFileSync(join(repositoryRoot, path), "utf8")));
}

/** The files below a folder whose name ends so, without node_modules; none if it is missing. */
export function listFiles(folder: string, ending: string): string[] {
  let entries: ReturnType<typeof readEntries>;
  try {
    entries = readEntries(folder);
  } catch {
    return [];
  }
  return entries
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : listFiles(path, ending);
      return entry.name.endsWith(ending) ? [path] : [];
    })
    .sort();
}

const readEntries = (folder: string) =>
  readdirSync(join(repositoryRoot, folder), { withFileTypes: true });

/** Where a relative import of `path` leads: a path of the tree, ending in .ts. */
export function resolveImport(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return posix.join(dirname(path), specifier).replace(/\.js$/, ".ts");
}

/** The 1-based line of an offset. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) {
    line++;
  }
  return line;
}

/** Every match of a global pattern in the code of a file, as "path:line: what". */
export function findInCode(file: SourceFile, pattern: RegExp, what: string): string[] {
  return [...file.code.matchAll(pattern)].map(
    (match) => `${file.path}:${lineAt(file.code, match.index)}: ${what} (${match[0].trim()})`,
  );
}

// The specifier itself is blank in the code, so it is read from the text at the same place.
const staticImport = /\b(import|export)\b([^;"'`()]*?)\bfrom\s*(["'])/g;
const bareImport = /\bimport\s*(["'])/g;
const dynamicImport = /\bimport\s*\(\s*(["'])?/g;

function findImports(text: string, code: string): ImportLine[] {
  const found: ImportLine[] = [];
  const specifierAt = (end: number): string => {
    const quote = text.charAt(end - 1);
    return text.slice(end, text.indexOf(quote, end));
  };
  for (const match of code.matchAll(staticImport)) {
    const clause = match[2] ?? "";
    const isNamespace = clause.includes("*");
    found.push({
      line: lineAt(text, match.index),
      specifier: specifierAt(match.index + match[0].length),
      names: isNamespace ? [] : importedNames(clause),
      kind: isNamespace ? "namespace" : "named",
    });
  }
  for (const match of code.matchAll(bareImport)) {
    const specifier = specifierAt(match.index + match[0].length);
    found.push({ line: lineAt(text, match.index), specifier, names: [], kind: "side-effect" });
  }
  for (const match of code.matchAll(dynamicImport)) {
    const isLiteral = match[1] !== undefined;
    found.push({
      line: lineAt(text, match.index),
      specifier: isLiteral ? specifierAt(match.index + match[0].length) : "",
      names: [],
      kind: isLiteral ? "dynamic" : "unresolved",
    });
  }
  return found.sort((one, other) => one.line - other.line);
}

function importedNames(clause: string): string[] {
  return clause
    .replace(/[{}]/g, ",")
    .split(",")
    .map((part) => part.replace(/\btype\b/, "").trim())
    .map((part) => part.split(/\s+as\s+/)[0] ?? "")
    .filter((name) => name !== "");
}

/** The text with comments and the insides of strings, templates and patterns blanked. */
export function blankNonCode(text: string): string {
  const out =
    [...text].length === text.length
      ? text.split("")
      : Array.from({ length: text.length }, (_, at) => text.charAt(at));
  // One entry per template that is open: how many braces its ${ } has open.
  const templates: number[] = [];
  let at = 0;
  const blankTo = (end: number): void => {
    for (; at < end && at < text.length; at++) if (text.charAt(at) !== "\n") out[at] = " ";
  };
  while (at < text.length) {
    const char = text.charAt(at);
    const two = text.slice(at, at + 2);
    if (two === "//") blankTo(endOf(text, "\n", at));
    else if (two === "/*") blankTo(endOf(text, "*/", at + 2) + 2);
    else if (char === '"' || char === "'") {
      at++;
      blankTo(stringEnd(text, at, char));
      at++;
    } else if (char === "`" || (char === "}" && templates.at(-1) === 0)) {
      if (char === "}") templates.pop();
      at++;
      const end = templateEnd(text, at);
      blankTo(end);
      if (text.charAt(end) === "$") templates.push(0);
      at = end + (text.charAt(end) === "$" ? 2 : 1);
    } else if (char === "/" && startsPattern(text, at)) {
      at++;
      blankTo(patternEnd(text, at));
      at++;
    } else {
      const open = templates.length - 1;
      if (open >= 0 && char === "{") templates[open] = (templates[open] ?? 0) + 1;
      if (open >= 0 && char === "}") templates[open] = (templates[open] ?? 0) - 1;
      at++;
    }
  }
  return out.join("");
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from);
  return end === -1 ? text.length : end;
}

function stringEnd(text: string, from: number, quote: string): number {
  let at = from;
  while (at < text.length && text.charAt(at) !== quote) at += text.charAt(at) === "\\" ? 2 : 1;
  return at;
}

/** Where a template's text ends: at its closing quote, or at the `$` of a `${`. */
function templateEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charAt(at) !== "`" && text.slice(at, at + 2) !== "${") {
    at += text.charAt(at) === "\\" ? 2 : 1;
  }
  return at;
}

function patternEnd(text: string, from: number): number {
  let isClass = false;
  let at = from;
  for (; at < text.length && text.charAt(at) !== "\n"; at++) {
    const char = text.charAt(at);
    if (char === "\\") at++;
    else if (char === "[") isClass = true;
    else if (char === "]") isClass = false;
    else if (char === "/" && !isClass) return at;
  }
  return at;
}

/** A slash starts a pattern where an operand is due, and divides everywhere else. */
function startsPattern(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 20), at).trimEnd();
  return /(^|[(,=:[!&|?{};+\-*%~^<>])$|\b(return|typeof|case|in|of)$/.test(before);
}
