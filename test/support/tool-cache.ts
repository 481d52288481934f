/**
 * Tools of other languages that tests need: installed once, from the public
 * package index of their language, into a cache folder below node_modules.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./paths.js";
import { runProgram } from "./server-process.js";

/** The folder of a tool, after `install` has filled it; a half-filled one is begun anew. */
export async function cachedTool(
  name: string,
  install: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(repositoryRoot, "node_modules", ".cache", "kvix", name);
  const mark = join(folder, ".complete");
  if (existsSync(mark)) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await install(folder);
  // Renamed, so that the mark is there whole or not at all.
  writeFileSync(`${mark}.tmp`, "");
  renameSync(`${mark}.tmp`, mark);
  return folder;
}

/** Runs a program that must succeed; what it printed. */
export async function mustRun(
  program: string,
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args, env).catch((cause: unknown) => {
    throw new Error(`${program} is needed, and cannot be run`, { cause });
  });
  if (code === 0) return stdout;
  throw new Error(`${program} ${args.join(" ")} failed: ${stderr.slice(-2000)}`);
}
