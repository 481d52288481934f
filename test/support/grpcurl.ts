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
/** Where it is, once installed. */
export const grpcurlPath = join(cacheDir, "grpcurl");

/** Builds grpcurl if it is not there yet: a minute or two, once. Without Go it fails and says so. */
export async function installGrpcurl(): Promise<void> {
  if (existsSync(grpcurlPath)) return;
  mkdirSync(cacheDir, { recursive: true });
  const env = { ...process.env, GOBIN: cacheDir };
  const { code, stderr } = await runProgram("go", ["install", MODULE], env).catch(() => {
    throw new Error("grpcurl is built with Go, and there is no `go` on the path");
  });
  if (code !== 0) throw new Error(`go install ${MODULE} failed: ${stderr.slice(-2000)}`);
}

/** Runs `grpcurl -plaintext` with these arguments. */
export function grpcurl(...args: readonly string[]): Promise<CommandResult> {
  return runProgram(grpcurlPath, ["-plaintext", ...args]);
}
