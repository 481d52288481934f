/** What the parts of the lab need of the machine, and the words with which they are refused without it. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Where a system keeps its own programs, though a user's PATH may not say so. */
const systemFolders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/** A program, and the package that brings it. */
export interface Tool {
  readonly command: string;
  readonly package: string;
}

export const prlimit: Tool = { command: "prlimit", package: "util-linux" };
export const mount: Tool = { command: "mount", package: "mount" };
export const unshare: Tool = { command: "unshare", package: "util-linux" };
export const mkfsExt4: Tool = { command: "mkfs.ext4", package: "e2fsprogs" };
export const e2fsck: Tool = { command: "e2fsck", package: "e2fsprogs" };
export const mkfsXfs: Tool = { command: "mkfs.xfs", package: "xfsprogs" };
export const xfsIo: Tool = { command: "xfs_io", package: "xfsprogs" };
export const fallocate: Tool = { command: "fallocate", package: "util-linux" };
export const setpriv: Tool = { command: "setpriv", package: "util-linux" };

/** The folders that programs are looked for in. */
export function toolPath(): string {
  const own = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...own, ...systemFolders].join(delimiter);
}

/** Whether a program is there. */
export function hasTool(command: string): boolean {
  return toolPath()
    .split(delimiter)
    .some((folder) => {
      try {
        accessSync(join(folder, command), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Throws, naming the part and all that it lacks: Linux, root, programs. */
export function demand(part: string, tools: readonly Tool[], needsRoot: boolean): void {
  if (process.platform !== "linux") throw new Error(`the part ${part} needs Linux`);
  const lacks = tools
    .filter(({ command }) => !hasTool(command))
    .map(({ command, package: name }) => `${command} (package ${name})`);
  if (needsRoot && process.getuid?.() !== 0) lacks.push("root, for it mounts file systems");
  if (lacks.length > 0) throw new Error(`the part ${part} needs ${lacks.join(", ")}`);
}
