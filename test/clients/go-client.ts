/**
 * The Go client: grpc-go as go.mod has it, and stubs that protoc-gen-go and
 * protoc-gen-go-grpc generate from the proto, as its users do.
 */
import { cpSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Driver } from "../support/foreign-client.js";
import { repositoryRoot } from "../support/paths.js";
import { cachedTool, mustRun } from "../support/tool-cache.js";

const GENERATORS = {
  "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
  "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
};
const MODULE = "kvix.test/client";
const buf = join(repositoryRoot, "node_modules", ".bin", "buf");

/** Makes ready to run the driver; the folder is the caller's to remove. */
export async function prepareGo(): Promise<{ driver: Driver; folder: string }> {
  const versions = Object.values(GENERATORS).map((module) => module.split("@")[1]);
  const generators = await cachedTool(`go-generators-${versions.join("-")}`, async (target) => {
    const env = { ...process.env, GOBIN: target };
    for (const module of Object.values(GENERATORS)) await mustRun("go", ["install", module], env);
  });
  const folder = mkdtempSync(join(tmpdir(), "kvix-go-"));
  cpSync(join(repositoryRoot, "test", "clients", "go"), folder, { recursive: true });
  const opt = [`module=${MODULE}`, `Mkvix/v1/kvix.proto=${MODULE}/kvixv1`];
  const plugins = Object.keys(GENERATORS).map((name) => ({
    local: join(generators, name),
    out: folder,
    opt,
  }));
  const template = JSON.stringify({ version: "v2", plugins });
  const kvix = join(repositoryRoot, "proto", "kvix");
  await mustRun(buf, ["generate", repositoryRoot, "--path", kvix, "--template", template]);
  const program = join(folder, "driver");
  await mustRun("go", ["build", "-C", folder, "-mod=readonly", "-o", program, "."]);
  return { driver: { program, args: [] }, folder };
}
