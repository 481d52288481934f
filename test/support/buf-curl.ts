/** `buf curl`: a gRPC client that we did not write, from the development dependencies. */
import { join } from "node:path";
import { repositoryRoot } from "./paths.js";
import { type CommandResult, runProgram } from "./server-process.js";

const bufPath = join(repositoryRoot, "node_modules", ".bin", "buf");

/** Runs `buf curl` over plain gRPC; `target` is a method ("pkg.Service/Method") or empty. */
export function bufCurl(
  address: string,
  target: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const url = `http://${address}${target === "" ? "" : `/${target}`}`;
  return runProgram(bufPath, [
    "curl",
    "--protocol",
    "grpc",
    "--http2-prior-knowledge",
    ...args,
    url,
  ]);
}
