/**
 * Installs bench/peers on first use, and again when its lock file or the Node that
 * runs has changed: the peers are native addons, compiled where no prebuilt binary
 * can be had.
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
  const stamp = `${createHash("sha256").update(lock).digest("hex")} ${process.versions.modules}\n`;
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  process.stderr.write("installing bench/peers (compiles where nothing prebuilt can be had)\n");
  const env = { ...process.env, ...headersBesideNode() };
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
