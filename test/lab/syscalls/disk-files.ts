/** A simulated disk as real files, and the real files held against it. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SimDirectory, SimDisk, SimInode } from "../../support/sim-disk.js";

/** Makes the files of a disk in an empty folder; a file of two names is one file. */
export function writeDisk(disk: SimDisk, path: string): void {
  const written = new Map<SimInode, string>();
  const write = (directory: SimDirectory, into: string): void => {
    for (const [name, node] of directory.current) {
      const child = join(into, name);
      if (node.kind === "directory") {
        mkdirSync(child, { mode: 0o700 });
        write(node, child);
        continue;
      }
      const first = written.get(node);
      if (first === undefined) writeFileSync(child, node.current.copy(), { mode: 0o600 });
      else linkSync(first, child);
      written.set(node, child);
    }
  };
  write(disk.root, path);
}

/** What tells one disk from another: names and bytes. */
export function digestOf(disk: SimDisk): string {
  const hash = createHash("sha1");
  const add = (directory: SimDirectory): void => {
    for (const name of [...directory.current.keys()].sort()) {
      const node = directory.current.get(name);
      if (node?.kind === "directory") {
        hash.update(`${name}/{`);
        add(node);
        hash.update("}");
      } else if (node !== undefined) {
        const bytes = node.current.copy();
        hash.update(`${name} ${bytes.length}:`).update(bytes);
      }
    }
  };
  add(disk.root);
  return hash.digest("base64");
}

/** Throws unless a folder holds exactly what programs see of the disk. */
export function requireSameFiles(disk: SimDisk, path: string): void {
  const compare = (directory: SimDirectory, with_: string): void => {
    assert.deepEqual(
      readdirSync(with_).sort(),
      [...directory.current.keys()].sort(),
      `the replay has other names in ${with_}`,
    );
    for (const [name, node] of directory.current) {
      const child = join(with_, name);
      if (node.kind === "directory") compare(node, child);
      else {
        const isSame = readFileSync(child).equals(node.current.copy());
        assert.ok(isSame, `the replay has other bytes in ${child}`);
      }
    }
  };
  compare(disk.root, path);
}
