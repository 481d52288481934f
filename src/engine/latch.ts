/**
 * The latch. After a failed sync nobody knows what the disk holds, and a later
 * sync that succeeds proves nothing (the kernel may have dropped the pages). So
 * the store stops writing until it is opened anew; reads go on (V10).
 */
import { KvixError } from "../base/kvix-error.js";
import type { Log as HostLog } from "../host/host.js";

/** Open until a sync fails; then closed for the life of the process. */
export class Latch {
  readonly #log: HostLog;
  #why: string | undefined;

  constructor(log: HostLog) {
    this.#log = log;
  }

  get isClosed(): boolean {
    return this.#why !== undefined;
  }

  /** What failed, in one sentence; undefined while nothing did. */
  get why(): string | undefined {
    return this.#why;
  }

  /** Closes the latch; the first reason stands. */
  close(why: string, cause: unknown): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    this.#log.error({ err: cause, why }, "the store is read-only until it is restarted");
  }

  /** The error for a write that comes after. */
  readOnly(): KvixError {
    return new KvixError("STORE_READ_ONLY", this.#why ?? "");
  }

  /** The error for a write that may have reached the log. */
  uncertain(): KvixError {
    return new KvixError("SYNC_FAILED", this.#why ?? "");
  }
}
