/** The real machine: what a store runs on outside of tests. */
import { randomBytes } from "node:crypto";
import { totalmem } from "node:os";
import type { Entropy, Host, Log } from "./host.js";
import { NodeClock } from "./node-clock.js";
import { NodeFileSystem } from "./node-file-system.js";
import { NodeWorkers } from "./node-workers.js";

/** A log that says nothing: what a program that embeds the store gets unless it brings its own. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** The system's generator of secret randomness. */
export class NodeEntropy implements Entropy {
  bytes(length: number): Uint8Array {
    return randomBytes(length);
  }
}

/** What a host may be told. */
export interface NodeHostOptions {
  /** Default: `silentLog`. */
  readonly log?: Log | undefined;
}

/** This machine. */
export function nodeHost(options: NodeHostOptions = {}): Host {
  return {
    files: new NodeFileSystem(),
    clock: new NodeClock(),
    entropy: new NodeEntropy(),
    log: options.log ?? silentLog,
    workers: new NodeWorkers(),
    memoryBytes: memoryBytes(),
  };
}

/** A cgroup may bound it; one without a bound is told as 0, or as more than there is. */
function memoryBytes(): number {
  const bound = process.constrainedMemory();
  return bound > 0 ? Math.min(bound, totalmem()) : totalmem();
}
