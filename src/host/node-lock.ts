/**
 * A lock on a file that the kernel frees with its holder, however that ends
 * (V4, P1). No pid is written and none is read: an empty, foreign or garbage
 * lock file is as good as a new one.
 *
 *  - Linux: flock(2), which Node does not offer, by flock(1) on a descriptor
 *    that it inherits. The lock belongs to the open file, which both share, so
 *    it outlives the command and ends with our descriptor.
 *  - macOS: open(2) takes the lock by itself, with O_EXLOCK.
 *  - Elsewhere: LOCK_UNAVAILABLE.
 *
 * The file is never removed: another opener may have it open, waiting.
 */
import { spawnSync } from "node:child_process";
import { close, closeSync, constants, open } from "node:fs";
import { KvixError } from "../base/kvix-error.js";
import { errorCode, type FileLock } from "./file-system.js";
import { called } from "./node-file.js";

/** Milliseconds after which a flock(1) that does not answer counts as missing. */
const commandTimeoutMs = 10_000;

/** flock(1) says by this status that another has the lock. */
const takenStatus = 1;

/** macOS's open flags, which Node does not name. */
const openNonBlocking = 0x4;
const openExclusiveLock = 0x20;

/** Whoever could open the file through a link could be made to open any file. */
const openLockFile = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/** Locks the file at `path`; undefined: another has it. Errors: those of FileSystem.lock. */
export async function lockFile(
  path: string,
  platform: NodeJS.Platform = process.platform,
): Promise<FileLock | undefined> {
  if (platform === "linux") return lockByCommand(path);
  if (platform === "darwin") return lockByOpening(path);
  throw new KvixError("LOCK_UNAVAILABLE", `the platform is ${platform}`);
}

async function lockByCommand(path: string): Promise<FileLock | undefined> {
  const descriptor = await openDescriptor(path, openLockFile);
  try {
    if (runFlock(descriptor)) return new DescriptorLock(descriptor);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  closeSync(descriptor);
  return undefined;
}

/** Whether flock(1) got the lock. It never waits, so it may hold up the event loop. */
function runFlock(descriptor: number): boolean {
  const run = spawnSync("flock", ["-n", "-x", "3"], {
    stdio: ["ignore", "ignore", "pipe", descriptor],
    encoding: "utf8",
    timeout: commandTimeoutMs,
  });
  if (run.error !== undefined) {
    const code = errorCode(run.error) ?? "unknown";
    const detail = code === "ENOENT" ? "there is no flock command" : `flock did not run: ${code}`;
    throw new KvixError("LOCK_UNAVAILABLE", detail, { cause: run.error });
  }
  if (run.status === 0) return true;
  // A lock that is taken leaves no message; some versions use its status for every failure.
  const message = run.stderr.trim();
  if (run.status === takenStatus && message === "") return false;
  throw new KvixError(
    "LOCK_UNAVAILABLE",
    `flock ended with ${run.status ?? run.signal}: ${message}`,
  );
}

async function lockByOpening(path: string): Promise<FileLock | undefined> {
  const flags = openLockFile | openExclusiveLock | openNonBlocking;
  try {
    return new DescriptorLock(await openDescriptor(path, flags));
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return undefined;
    if (errorCode(error) === "ENOTSUP" || errorCode(error) === "EOPNOTSUPP") {
      throw new KvixError("LOCK_UNAVAILABLE", "the file system has no locks", { cause: error });
    }
    throw error;
  }
}

function openDescriptor(path: string, flags: number): Promise<number> {
  return called<number>((done) => open(path, flags, 0o600, done));
}

/** A lock that ends with its descriptor. */
class DescriptorLock implements FileLock {
  readonly #descriptor: number;
  #released: Promise<void> | undefined;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Idempotent. */
  release(): Promise<void> {
    this.#released ??= called<void>((done) => close(this.#descriptor, done));
    return this.#released;
  }
}
