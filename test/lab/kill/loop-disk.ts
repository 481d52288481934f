/**
 * A small disk with a file system of its own, that can be filled, made read-only
 * and cut off.
 *
 *     mount namespace of a shell (unshare)
 *       FOLDER              tmpfs
 *       FOLDER/image        the disk, on a loop device that goes with its last mount
 *       FOLDER/disk         the file system on it
 *
 * Nobody else sees these mounts; others reach them by /proc/PID/root of the shell.
 * They are gone when the shell and the servers on the disk are, whatever ended them:
 * nothing has to be cleaned up, and nothing can be left behind. The shell ends with
 * its stdin, so with the process that made it.
 */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { toolPath } from "./tools.js";

/** A file system that Linux has and the lab knows. */
export type DiskKind = "ext4" | "xfs";

const MEBIBYTE = 1024 * 1024;
/** Newer mkfs.xfs makes none below this, but by an option that has no promise. */
const XFS_MEBIBYTES_MIN = 300;

/** One disk. */
export class LoopDisk {
  readonly kind: DiskKind;
  readonly #shell: ChildProcessByStdio<Writable, Readable, null>;
  readonly #folder: string;
  readonly #ended: Promise<void>;
  #output = "";
  #onOutput: () => void = () => undefined;
  #commands = 0;

  private constructor(kind: DiskKind, folder: string) {
    this.kind = kind;
    this.#folder = folder;
    this.#shell = spawn("unshare", ["--mount", "--propagation", "private", "sh"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, PATH: toolPath(), LC_ALL: "C" },
    });
    this.#shell.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
      this.#onOutput();
    });
    this.#shell.stdin.on("error", () => undefined);
    this.#ended = new Promise((resolve) => {
      this.#shell.once("close", () => {
        this.#output += "\nthe shell ended";
        this.#onOutput();
        resolve();
      });
    });
  }

  /** Makes a disk of that size below `folder`, which is an empty folder, and mounts it. */
  static async make(kind: DiskKind, mebibytes: number, folder: string): Promise<LoopDisk> {
    const disk = new LoopDisk(kind, folder);
    try {
      await disk.#do(`mount -t tmpfs -o size=400m kvix-lab ${folder} && mkdir ${folder}/disk`);
      await disk.#format(mebibytes);
      await disk.mount();
      return disk;
    } catch (error) {
      await disk.close();
      throw error;
    }
  }

  /** Where the file system is, for this process and its children. */
  get path(): string {
    return `/proc/${this.#shell.pid}/root${this.#folder}/disk`;
  }

  /** What anybody may still write, in bytes. */
  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  async mount(): Promise<void> {
    const options = this.kind === "ext4" ? "loop,errors=remount-ro" : "loop";
    await this.#do(`mount -t ${this.kind} -o ${options} ${this.#image} ${this.#mountPoint}`);
  }

  async unmount(): Promise<void> {
    await this.#do(`umount ${this.#mountPoint}`);
  }

  /** False: the kernel refuses, for a file is open for writing. */
  async remountReadOnly(): Promise<boolean> {
    const { code, text } = await this.#try(`mount -o remount,ro ${this.#mountPoint}`);
    assert.ok(code === 0 || /busy/.test(text), text);
    return code === 0;
  }

  /** The file system finds itself in error, and goes read-only by itself (ext4 only). */
  async failItself(): Promise<void> {
    const device = this.#device();
    await this.#do(`echo 1 > /sys/fs/ext4/${device}/trigger_fs_error`);
  }

  /** Every call fails from now on, and what was not synced never reaches the disk. */
  async cutOff(): Promise<void> {
    await this.#do(`xfs_io -x -c shutdown ${this.#mountPoint}`);
  }

  /** Repairs what a failure left; a sound file system stays as it is. Unmounted only. */
  async repair(): Promise<void> {
    if (this.kind !== "ext4") return;
    const { code, text } = await this.#try(`e2fsck -fy ${this.#image}`);
    assert.ok(code <= 1, text);
  }

  /** Forgets the disk, and waits until its mounts are gone. Idempotent. */
  async close(): Promise<void> {
    this.#shell.stdin.end();
    await this.#ended;
  }

  get #image(): string {
    return join(this.#folder, "image");
  }

  get #mountPoint(): string {
    return join(this.#folder, "disk");
  }

  async #format(mebibytes: number): Promise<void> {
    if (this.kind === "ext4") {
      await this.#do(`truncate -s ${mebibytes}M ${this.#image}`);
      // No blocks are kept back for root: full is full.
      await this.#do(`mkfs.ext4 -q -F -m 0 ${this.#image}`);
      return;
    }
    for (const option of ["", "--unsupported"]) {
      await this.#do(`truncate -s ${mebibytes}M ${this.#image}`);
      const { code } = await this.#try(`mkfs.xfs -q -f ${option} ${this.#image}`);
      if (code === 0) return;
    }
    await this.#do(`truncate -s ${XFS_MEBIBYTES_MIN}M ${this.#image}`);
    await this.#do(`mkfs.xfs -q -f ${this.#image}`);
  }

  #device(): string {
    const table = readFileSync(`/proc/${this.#shell.pid}/mountinfo`, "utf8");
    const line = table.split("\n").find((each) => each.split(" ")[4] === this.#mountPoint);
    const device = /\/dev\/(loop\d+)/.exec(line ?? "")?.[1];
    assert.ok(device, "the disk is mounted");
    return device;
  }

  async #do(command: string): Promise<void> {
    const { code, text } = await this.#try(command);
    assert.equal(code, 0, `${command}: ${text}`);
  }

  /** Has the shell run a command; its exit code, and all that it said. */
  async #try(command: string): Promise<{ readonly code: number; readonly text: string }> {
    this.#commands += 1;
    const mark = `command ${this.#commands} ended`;
    this.#output = "";
    this.#shell.stdin.write(`( ${command} ) 2>&1 </dev/null; echo "${mark} $?"\n`);
    const pattern = new RegExp(`^([^]*?)${mark} (\\d+)\n`);
    return new Promise((resolve, reject) => {
      this.#onOutput = () => {
        const match = pattern.exec(this.#output);
        if (match !== null) resolve({ code: Number(match[2]), text: match[1] ?? "" });
        else if (this.#output.endsWith("the shell ended")) {
          reject(new Error(`${command}: ${this.#output}`));
        }
      };
    });
  }
}

/** The size of the lab's disks. */
export const diskMebibytes = 64;

/** Bytes of so many mebibytes. */
export function mebibytes(count: number): number {
  return count * MEBIBYTE;
}
