/** Stock grpcurl, the client that people reach for first; built with Go. */
import { join } from "node:path";
import { type CommandResult, runProgram } from "./server-process.js";
import { cachedTool, mustRun } from "./tool-cache.js";

const VERSION = "v1.9.4";
const MODULE = `github.com/fullstorydev/grpcurl/cmd/grpcurl@${VERSION}`;
let folder = "";

/** Builds grpcurl if it is not there yet: a minute or two, once. Without Go it fails and says so. */
export async function installGrpcurl(): Promise<void> {
  folder = await cachedTool(`grpcurl-${VERSION}`, async (target) => {
    await mustRun("go", ["install", MODULE], { ...process.env, GOBIN: target });
  });
}

/** Runs `grpcurl -plaintext` with these arguments. */
export function grpcurl(...args: readonly string[]): Promise<CommandResult> {
  return runProgram(join(folder, "grpcurl"), ["-plaintext", ...args]);
}
