/**
 * Installs bench/peers on first use, and again when its lock file or the Node that
 * runs has changed: the peers are native addons, compiled where no prebuilt binary
 * can be had. For a smoke, which shows no figure, they are compiled without
 * optimization, in less time; a bench that is measured installs them anew.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { repositoryRoot } from "../test/support/paths.js";

const folder = join(repositoryRoot, "bench", "peers");
const stampFile = join(folder, "node_modules", ".kvix-stamp");

/** Installs the peers if they are not there for this Node. Throws if npm fails. */
export function installPeers(): void {
  const lock = readFileSync(join(folder, "package-lock.json"));
  const flags = process.env["KVIX_BENCH_PEERS_FLAGS"] ?? "";
  const digest = createHash("sha256").update(lock).digest("hex");
  const stamp = `${[digest, process.versions.modules, flags].join(" ").trim()}\n`;
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  process.stderr.write("installing bench/peers (compiles where nothing prebuilt can be had)\n");
  const compilerFlags = flags === "" ? {} : { CFLAGS: flags, CXXFLAGS: flags };
  const env = { ...process.env, ...headersBesideNode(), ...compilerFlags };
  const { status, error } = spawnSync("npm", ["ci", "--no-fund", "--no-audit"], {
    cwd: folder,
    env,
    // The result of a bench goes to stdout, so npm's own words must not.
    stdio: ["ignore", 2, 2],
  });
  if (error !== undefined) throw error;
  if (status !== 0) {
    throw new Error("npm ci in bench/peers failed; see CONTRIBUTING.md for what it needs");
  }
  writeFileSync(stampFile, stamp);
}

/** Where node-gyp finds Node's headers without downloading them, if they lie beside Node. */
function headersBesideNode(): Record<string, string> {
  const prefix = dirname(dirname(process.execPath));
  const header = join(prefix, "include", "node", "node_version.h");
  if (!existsSync(header)) return {};
  const major = /#define NODE_MAJOR_VERSION (\d+)/.exec(readFileSync(header, "utf8"))?.[1];
  return major === process.versions.node.split(".")[0] ? { npm_config_nodedir: prefix } : {};
}
