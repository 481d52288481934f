/**
 * The folder of a life, outside of its store: TMP/kvix-lab-kill-PID-XXXXXX, where PID is
 * the process of the run. One that was killed leaves its folder behind; the next run of
 * the instrument takes it away.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const prefix = "kvix-lab-kill-";

/** A new folder of this process. */
export function makeFolder(parent = tmpdir()): string {
  return mkdtempSync(join(parent, `${prefix}${process.pid}-`));
}

/** Takes a folder away with all that is in it. */
export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}

/** Takes away the folders of processes that are gone. */
export function removeLeftFolders(parent = tmpdir()): void {
  for (const name of readdirSync(parent)) {
    const pid = /^kvix-lab-kill-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) removeFolder(join(parent, name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
