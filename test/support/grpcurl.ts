/**
 * Stock grpcurl, the client that people reach for first. It is built once with
 * Go, from Go's module proxy, into a cache folder below node_modules.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./paths.js";
import { type CommandResult, runProgram } from "./server-process.js";

const VERSION = "v1.9.4";
const MODULE = `github.com/fullstorydev/grpcurl/cmd/grpcurl@${VERSION}`;
const cacheDir = join(repositoryRoot, "node_modules", ".cache", "kvix", `grpcurl-${VERSION}`);
const grpcurlPath = join(cacheDir, "grpcurl");

/** Whether grpcurl is there, or Go to build it. */
export async function canRunGrpcurl(): Promise<boolean> {
  if (existsSync(grpcurlPath)) return true;
  return runProgram("go", ["version"]).then(
    ({ code }) => code === 0,
    () => false,
  );
}

/** Builds grpcurl if it is not there yet: a minute or two, once. */
export async function installGrpcurl(): Promise<void> {
  if (existsSync(grpcurlPath)) return;
  mkdirSync(cacheDir, { recursive: true });
  const env = { ...process.env, GOBIN: cacheDir };
  const { code, stderr } = await runProgram("go", ["install", MODULE], env);
  if (code !== 0) throw new Error(`go install ${MODULE} failed: ${stderr.slice(-2000)}`);
}

/** Runs `grpcurl -plaintext` with these arguments. */
export function grpcurl(...args: readonly string[]): Promise<CommandResult> {
  return runProgram(grpcurlPath, ["-plaintext", ...args]);
}
