/**
 * Mutation testing: small changes of the code, one at a time, each of which some test has
 * to notice.
 *
 *     npm run mutants -- ROOM              format, storage or engine
 *     npm run mutants -- ROOM NAME...      of it, the files NAME.ts
 *
 * What was found stands in .lab/mutants/ROOM/NAME.json, a report of the tool; the table
 * that is printed at the end is of all reports of the room. docs/mutants.md explains what
 * survives. The tool is installed on first use: see docs/decisions.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { repositoryRoot } from "../support/paths.js";
import { rooms, type Subject } from "./rooms.js";

const folder = join(repositoryRoot, "test", "mutants");
const reportFolder = join(".lab", "mutants");

/** What a report of the tool says, as far as it is read here. */
interface Report {
  readonly files: Readonly<Record<string, { readonly mutants: readonly Mutant[] }>>;
}

interface Mutant {
  readonly mutatorName: string;
  readonly replacement: string;
  readonly status: string;
  readonly location: { readonly start: { readonly line: number; readonly column: number } };
}

/** Installs the tool if it is not there, or another one is. Throws if npm fails. */
function install(): void {
  const lock = readFileSync(join(folder, "package-lock.json"));
  const stamp = `${createHash("sha256").update(lock).digest("hex")}\n`;
  const stampFile = join(folder, "node_modules", ".kvix-stamp");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  console.error("installing test/mutants");
  const words = ["ci", "--no-fund", "--no-audit", "--ignore-scripts"];
  const { status, error } = spawnSync("npm", words, { cwd: folder, stdio: ["ignore", 2, 2] });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error("npm ci in test/mutants failed");
  writeFileSync(stampFile, stamp);
}

/** Files that are mutated together: the tool builds them once, and tries the tests of all of them once. */
function mutate(room: string, subjects: readonly Subject[]): boolean {
  const report = join(reportFolder, `${room}.json`);
  mkdirSync(join(repositoryRoot, reportFolder, room), { recursive: true });
  const order = {
    sources: subjects.map(({ source }) => source),
    tests: [...new Set(subjects.flatMap(({ tests }) => tests))],
    except: subjects.flatMap(({ except }) => except ?? []),
    subjects: subjects.map(({ source, tests, effortMs }) => ({ source, tests, effortMs })),
    report,
  };
  const program = join(folder, "node_modules", "@stryker-mutator", "core", "bin", "stryker.js");
  // A process that is ended clears nothing away.
  const temporary = mkdtempSync(join(tmpdir(), "kvix-mutants-"));
  const { status } = spawnSync(
    process.execPath,
    [program, "run", join(folder, "stryker.config.js")],
    {
      cwd: repositoryRoot,
      stdio: ["ignore", 2, 2],
      env: { ...process.env, TMPDIR: temporary, KVIX_MUTANTS: JSON.stringify(order) },
    },
  );
  rmSync(temporary, { recursive: true });
  if (status !== 0) return false;
  const { files } = JSON.parse(readFileSync(join(repositoryRoot, report), "utf8")) as Report;
  for (const [source, facts] of Object.entries(files)) {
    const path = join(repositoryRoot, reportFolder, room, `${nameOf(source, room)}.json`);
    writeFileSync(path, JSON.stringify({ files: { [source]: facts } }));
  }
  return true;
}

/** "segment" of src/storage/segment.ts; a slash of a deeper folder becomes a point. */
function nameOf(source: string, room: string): string {
  return source.slice(`src/${room}/`.length, -".ts".length).replaceAll("/", ".");
}

const columns = ["Killed", "Timeout", "Survived", "NoCoverage"] as const;

/** One row for each report of a room, and below it what survived. */
function tell(room: string): void {
  const reports = readdirSync(join(repositoryRoot, reportFolder, room)).sort();
  const sums = new Map<string, number>();
  console.log(`${"".padEnd(22)}${columns.map((name) => name.padStart(11)).join("")}      score`);
  const tellRow = (name: string, counts: ReadonlyMap<string, number>): void => {
    const [killed = 0, timeout = 0, survived = 0, uncovered = 0] = columns.map(
      (column) => counts.get(column) ?? 0,
    );
    const score = (100 * (killed + timeout)) / (killed + timeout + survived + uncovered);
    const figures = [killed, timeout, survived, uncovered].map((each) => `${each}`.padStart(11));
    console.log(`${name.padEnd(22)}${figures.join("")}    ${score.toFixed(1).padStart(5)} %`);
  };
  const survivors: string[] = [];
  for (const file of reports) {
    const path = join(repositoryRoot, reportFolder, room, file);
    const { files } = JSON.parse(readFileSync(path, "utf8")) as Report;
    const counts = new Map<string, number>();
    for (const { status, location, mutatorName, replacement } of Object.values(files).flatMap(
      ({ mutants }) => mutants,
    )) {
      counts.set(status, (counts.get(status) ?? 0) + 1);
      sums.set(status, (sums.get(status) ?? 0) + 1);
      if (status !== "Survived" && status !== "NoCoverage") continue;
      const { line, column } = location.start;
      const change = replacement.replace(/\s+/g, " ").slice(0, 90);
      survivors.push(`${basename(file, ".json")}.ts:${line}:${column} ${mutatorName}: ${change}`);
    }
    tellRow(basename(file, ".json"), counts);
  }
  tellRow("all", sums);
  console.log("\nnot noticed:");
  for (const survivor of survivors) console.log(`  ${survivor}`);
}

function main([room = "", ...names]: readonly string[]): number {
  const subjects = rooms[room] ?? [];
  const strange = names.find(
    (name) => !subjects.some(({ source }) => nameOf(source, room) === name),
  );
  if (subjects.length === 0 || strange !== undefined) {
    const all = subjects.map(({ source }) => nameOf(source, room)).join(" ");
    console.error(`usage: npm run mutants -- ${Object.keys(rooms).join("|")} [NAME...]\n${all}`);
    return 2;
  }
  install();
  const named = names.flatMap(
    (name) => subjects.find((each) => nameOf(each.source, room) === name) ?? [],
  );
  const chosen = names.length === 0 ? subjects : named;
  const isDone = mutate(room, chosen);
  tell(room);
  return isDone ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
