/**
 * The records that stand when a watch begins: a snapshot, told in key order, and only
 * when all that it shows is durable.
 *
 *     opened at version v -> v is durable -> step, step, ... -> the changes after v
 *
 * A record that cannot be read is told without its value, like one that does not fit:
 * damage of one record is no reason to know nothing of the others. What has expired when
 * the watch begins does not stand, swept or not.
 */
import { KvixError } from "../../base/kvix-error.js";
import { KEY_BYTES_MAX } from "../../base/limits.js";
import { compareKeys } from "../key-range.js";
import type { Snapshot } from "../snapshots/snapshot.js";
import type { SnapshotCursor, SnapshotEntry } from "../snapshots/snapshot-cursor.js";
import type { Omission } from "../store.js";
import type { WatchEvent, WatchStep } from "../store-watch.js";
import { RUN_BYTES_MAX } from "./shared-tail.js";
import { SMALL_STEP_BYTES, type WatchAsk } from "./watch-rules.js";
import { costOf, EVENT_OVERHEAD_BYTES } from "./watch-steps.js";

/** How many records a step has at most, so that others get their turn. */
const STEP_RECORDS_MAX = 1024;

/** Tells what stands. */
export class CurrentState {
  readonly #snapshot: Snapshot;
  readonly #cursor: SnapshotCursor;
  readonly #ask: WatchAsk;
  readonly #soon: (task: () => void) => void;
  readonly #admit: (bytes: number) => Promise<void>;
  /** What did not fit the step before. */
  #next: SnapshotEntry | undefined;

  /**
   * Closes the snapshot at its end, or when it is closed. `admit` is waited for before a
   * step of more than 64 KiB is read.
   */
  constructor(
    snapshot: Snapshot,
    ask: WatchAsk,
    soon: (task: () => void) => void,
    admit: (bytes: number) => Promise<void>,
  ) {
    this.#snapshot = snapshot;
    this.#ask = ask;
    this.#soon = soon;
    this.#admit = admit;
    const { low, high } = ask.bounds;
    // Behind the longest key there is a bound, but none that a range could name.
    const end = high !== undefined && high.length > KEY_BYTES_MAX ? undefined : high;
    this.#cursor = snapshot.cursor({ start: low, end });
  }

  /** The version that it shows. */
  get version(): number {
    return this.#snapshot.version;
  }

  /** The next records; undefined: there are no more. Throws SNAPSHOT_ENDED, STORE_CLOSING. */
  async next(): Promise<WatchStep | undefined> {
    const events: WatchEvent[] = [];
    let bytes = 0;
    while (bytes < Math.min(RUN_BYTES_MAX, this.#ask.bytesMax)) {
      const entry = await this.#take();
      if (entry === undefined) break;
      const costBytes = this.#costOf(entry);
      const isEnough = events.length === STEP_RECORDS_MAX;
      if (isEnough || (events.length > 0 && bytes + costBytes > RUN_BYTES_MAX)) {
        this.#next = entry;
        break;
      }
      const event = await this.#read(entry);
      events.push(event);
      bytes += costOf(event);
    }
    if (events.length > 0) return { events, version: 0, isCurrent: true, continues: false };
    this.close();
    return undefined;
  }

  /** Lets go of the snapshot. Idempotent. */
  close(): void {
    this.#snapshot.close();
  }

  async #take(): Promise<SnapshotEntry | undefined> {
    const kept = this.#next;
    this.#next = undefined;
    if (kept !== undefined) return kept;
    for (;;) {
      const entry = this.#cursor.next();
      const { high } = this.#ask.bounds;
      if (entry && high && compareKeys(entry.key, high) >= 0) return undefined;
      if (entry !== undefined || this.#cursor.hasEnded) return entry;
      await new Promise<void>((resolve) => this.#soon(resolve));
    }
  }

  #costOf({ recordBytes }: SnapshotEntry): number {
    return this.#ask.keysOnly ? 0 : recordBytes + EVENT_OVERHEAD_BYTES;
  }

  async #read(entry: SnapshotEntry): Promise<WatchEvent> {
    const { key, version, expiresAtMs, recordBytes } = entry;
    const record = await this.#recordOf(entry);
    return { kind: "set", key, version, expiresAtMs, recordBytes, record };
  }

  async #recordOf(entry: SnapshotEntry): Promise<Uint8Array | Omission> {
    const { keysOnly, bytesMax } = this.#ask;
    if (keysOnly) return "keys-only";
    const bytes = entry.recordBytes + EVENT_OVERHEAD_BYTES;
    if (bytes > bytesMax) return "too-large";
    if (bytes > SMALL_STEP_BYTES) await this.#admit(bytes);
    try {
      return (await this.#snapshot.read(entry)).payload;
    } catch (error) {
      const isKnown = error instanceof KvixError;
      if (!isKnown || !["RECORD_CORRUPT", "READ_FAILED"].includes(error.reason)) throw error;
      // The files of a store that closes are closed under the read: that is no damage.
      this.#snapshot.requireOpen();
      return "unreadable";
    }
  }
}
