/**
 * The open snapshots of a store.
 *
 * Opening one takes a version and a ticket (pins.ts) in the same turn; while one
 * is open the publisher tells the undo keeper of every entry that it replaces.
 *
 * Bounds (V11): 1,024 open at once; each for 5 minutes at most, whatever its
 * reader does; 64 MiB of replaced entries for all of them. Past a bound of time
 * or bytes the oldest ends with SNAPSHOT_ENDED, and its reader goes on behind the
 * last key it had.
 */
import { KvixError } from "../../base/kvix-error.js";
import type { Clock } from "../../host/host.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import type { Keydir } from "../keydir/keydir.js";
import { type Lease, Leases } from "../leases.js";
import type { Pins, Ticket } from "../pins.js";
import type { Publisher } from "../publisher.js";
import type { RecordReader } from "../record-reader.js";
import { requireWhole } from "../request-rules.js";
import { Snapshot, type SnapshotContext } from "./snapshot.js";
import { UndoKeeper, type View } from "./undo-keeper.js";

/** How many may be open. */
export const SNAPSHOTS_MAX = 1024;
/** How long one may be open. */
export const SNAPSHOT_LEASE_MS = 5 * 60_000;
/** What the undo list may hold. */
export const UNDO_BYTES_MAX = 64 * 1024 * 1024;

/** What snapshots work with. */
export interface SnapshotsContext {
  readonly keydir: Keydir;
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly publisher: Publisher;
  readonly pins: Pins;
  readonly clock: Clock;
  /** UNDO_BYTES_MAX if it is left out. */
  readonly undoBytesMax?: number;
}

/** What one keeps while it is open. */
interface Kept {
  readonly ticket: Ticket;
  readonly lease: Lease;
  readonly view: View;
}

/** Opens snapshots, and ends those that take too much. */
export class Snapshots {
  readonly #context: SnapshotsContext;
  readonly #undo: UndoKeeper;
  readonly #leases: Leases;
  readonly #reading: SnapshotContext;
  readonly #open = new Map<Snapshot, Kept>();
  #isClosed = false;

  constructor(context: SnapshotsContext) {
    this.#context = context;
    const { keydir, clock, undoBytesMax = UNDO_BYTES_MAX } = context;
    this.#undo = new UndoKeeper(keydir, clock, undoBytesMax);
    this.#leases = new Leases(clock);
    this.#reading = { ...context, undo: () => this.#undo.list };
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size;
  }

  /** What the replaced entries count for that open snapshots see. */
  get undoBytes(): number {
    return this.#undo.bytes;
  }

  /**
   * A snapshot of what is published now, for `leaseMs` at most: 1 to 300,000,
   * which is the default. To be closed. Throws FIELD_INVALID, OVERLOADED,
   * STORE_CLOSING.
   */
  open({ leaseMs = SNAPSHOT_LEASE_MS }: { readonly leaseMs?: number } = {}): Snapshot {
    if (this.#isClosed) throw new KvixError("STORE_CLOSING", "", { outcome: "none" });
    requireWhole("leaseMs", leaseMs, 1, SNAPSHOT_LEASE_MS);
    if (this.#open.size >= SNAPSHOTS_MAX) {
      throw new KvixError("OVERLOADED", `${SNAPSHOTS_MAX} snapshots are open`, { outcome: "none" });
    }
    const { publisher, pins, clock } = this.#context;
    const { version } = publisher;
    const snapshot = new Snapshot(this.#reading, version, clock.wallMs(), () => {
      this.#letGo(snapshot);
    });
    const view: View = {
      version,
      onOverflow: () => this.#end(snapshot, "too much was overwritten meanwhile"),
    };
    const lease = this.#leases.take(leaseMs, () => {
      this.#end(snapshot, `it was open for ${leaseMs} ms`);
    });
    this.#open.set(snapshot, { ticket: pins.enter(), lease, view });
    this.#undo.add(view);
    publisher.undo = this.#undo;
    return snapshot;
  }

  /** Ends all, with STORE_CLOSING, and opens no other. */
  close(): void {
    this.#isClosed = true;
    for (const snapshot of [...this.#open.keys()]) {
      snapshot.end(new KvixError("STORE_CLOSING", "", { outcome: "none" }));
      this.#letGo(snapshot);
    }
  }

  #end(snapshot: Snapshot, why: string): void {
    snapshot.end(new KvixError("SNAPSHOT_ENDED", why));
    this.#letGo(snapshot);
  }

  #letGo(snapshot: Snapshot): void {
    const kept = this.#open.get(snapshot);
    if (kept === undefined) return;
    this.#open.delete(snapshot);
    kept.ticket.leave();
    this.#leases.giveUp(kept.lease);
    this.#undo.remove(kept.view);
    if (!this.#undo.hasViews) this.#context.publisher.undo = undefined;
  }
}
