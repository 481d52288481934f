/**
 * An etcd of one member, for benches over gRPC: built once from its Go module
 * (bench/peers/etcd), and run in a process of its own on free ports of the loopback.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { repositoryRoot } from "../test/support/paths.js";
import { cachedTool, mustRun } from "../test/support/tool-cache.js";

const folder = join(repositoryRoot, "bench", "peers", "etcd");
/** How long it may take to serve, in milliseconds. */
const START_MS_MAX = 60_000;
/** It keeps all history until it is compacted, and refuses writes beyond this. */
const QUOTA_BYTES = 8 * 1024 ** 3;

/** A server that runs. */
export interface EtcdServer {
  /** "HOST:PORT" of its gRPC service. */
  readonly address: string;
  readonly version: string;
  end(): Promise<void>;
}

/** Starts an etcd over an empty directory. */
export async function startEtcd(dataDir: string): Promise<EtcdServer> {
  const { program, version } = await install();
  const [client, peer] = [await freePort(), await freePort()];
  const clientUrl = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const flags = {
    name: "bench",
    "data-dir": dataDir,
    "listen-client-urls": clientUrl,
    "advertise-client-urls": clientUrl,
    "listen-peer-urls": peerUrl,
    "initial-advertise-peer-urls": peerUrl,
    "initial-cluster": `bench=${peerUrl}`,
    "quota-backend-bytes": String(QUOTA_BYTES),
    "log-level": "error",
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await untilHealthy(clientUrl, child);
  return {
    address: `127.0.0.1:${client}`,
    version,
    end: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

async function install(): Promise<{ program: string; version: string }> {
  const module = readFileSync(join(folder, "go.mod"), "utf8");
  const version = /go\.etcd\.io\/etcd\/server\/v3 v(\S+)/.exec(module)?.[1] ?? "";
  const digest = createHash("sha256").update(module).digest("hex").slice(0, 12);
  const built = await cachedTool(`etcd-${version}-${digest}`, async (target) => {
    process.stderr.write("building bench/peers/etcd (Go; takes minutes the first time)\n");
    const output = join(target, "etcd");
    await mustRun("go", [
      "build",
      "-C",
      folder,
      "-mod=readonly",
      "-ldflags=-s -w",
      "-o",
      output,
      ".",
    ]);
  });
  return { program: join(built, "etcd"), version };
}

async function untilHealthy(url: string, child: ChildProcess): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer?.ok === true) return;
    if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}`);
    if (performance.now() - startMs > START_MS_MAX) {
      child.kill("SIGKILL");
      throw new Error("etcd does not serve");
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
