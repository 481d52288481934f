/**
 * The Python client: grpcio from PyPI in an environment of its own, and stubs
 * that grpcio-tools generates from the proto, as its users do.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Driver } from "../support/foreign-client.js";
import { repositoryRoot } from "../support/paths.js";
import { cachedTool, mustRun } from "../support/tool-cache.js";

const GRPC = "1.85.1";
/** What is installed, as pip names it. */
export const PACKAGES: readonly string[] = [
  `grpcio==${GRPC}`,
  `grpcio-status==${GRPC}`,
  `grpcio-tools==${GRPC}`,
  "googleapis-common-protos==1.76.0",
  "protobuf==7.36.2",
];
const proto = join(repositoryRoot, "proto");

/** A Python environment with these packages. */
export function pythonEnvironment(): Promise<string> {
  return cachedTool(`grpcio-${GRPC}`, async (target) => {
    await mustRun("python3", ["-m", "venv", target]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    await mustRun(join(target, "bin", "python"), [...pip, ...PACKAGES]);
  });
}

/** Makes ready to run the driver; the folder is the caller's to remove. */
export async function preparePython(): Promise<{ driver: Driver; folder: string }> {
  const environment = await pythonEnvironment();
  const python = join(environment, "bin", "python");
  const folder = mkdtempSync(join(tmpdir(), "kvix-python-"));
  const outputs = [`--python_out=${folder}`, `--grpc_python_out=${folder}`];
  const source = join("kvix", "v1", "kvix.proto");
  await mustRun(python, ["-m", "grpc_tools.protoc", `-I${proto}`, ...outputs, source]);
  const program = join(repositoryRoot, "test", "clients", "python", "driver.py");
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: "1" };
  return { driver: { program: python, args: [program], env }, folder };
}
