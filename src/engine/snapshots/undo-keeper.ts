/**
 * Which replaced entries are kept, and for whom.
 *
 *     views   10 ------- 25 ------- 40 ------- now        versions of snapshots
 *             [replaced   [replaced  [replaced
 *              up to 25]   up to 40]  since]
 *
 * An entry is kept if the newest view sees it, and is listed with that view. A
 * view that is closed hands what the next older one sees to that one; the rest
 * of its list was seen by it alone, and goes. So an entry is kept exactly as
 * long as some view sees it, and closing costs what was replaced while the view
 * was the newest.
 *
 * Bounds (V11): what views see counts 64 MiB together; beyond that the oldest
 * view ends. What goes is taken out in steps, 4,096 entries a turn and 8 for each
 * that is added, so that no write waits for it; it never takes more than that
 * much again.
 */
import type { Clock } from "../../host/host.js";
import { keyTextOf } from "../accepted-state.js";
import type { Keydir } from "../keydir/keydir.js";
import { UndoEntry, UndoList } from "./undo-list.js";

/** How many entries one turn takes out. */
const DROPS_PER_TURN = 4096;
/** And one entry that is added. */
const DROPS_PER_ADD = 8;

/** A version that somebody reads. */
export interface View {
  readonly version: number;
  /** Called when it is given up for want of room; the keeper has let go of it by then. */
  readonly onOverflow: () => void;
}

interface KeptView {
  readonly view: View;
  /** What was replaced while it was the newest view, or was handed down to it. */
  readonly entries: UndoEntry[];
}

/** Keeps what open views see. */
export class UndoKeeper {
  readonly #keydir: Keydir;
  readonly #clock: Clock;
  readonly #bytesMax: number;
  #list = new UndoList();
  /** Oldest first. */
  readonly #views: KeptView[] = [];
  /** Entries that no view sees. */
  #dropped: UndoEntry[] = [];
  #droppedBytes = 0;
  #isDropping = false;

  constructor(keydir: Keydir, clock: Clock, bytesMax: number) {
    this.#keydir = keydir;
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  /** The replaced entries; another list whenever the last view has gone. */
  get list(): UndoList {
    return this.#list;
  }

  /** What the entries count for that some view sees. */
  get bytes(): number {
    return this.#list.bytes - this.#droppedBytes;
  }

  get hasViews(): boolean {
    return this.#views.length > 0;
  }

  /** Adds a view at the newest published version. */
  add(view: View): void {
    this.#views.push({ view, entries: [] });
  }

  /** Lets go of a view; nothing if that was done before. */
  remove(view: View): void {
    const index = this.#views.findIndex((each) => each.view === view);
    const [removed] = index === -1 ? [] : this.#views.splice(index, 1);
    if (removed === undefined) return;
    if (this.#views.length === 0) {
      this.#list = new UndoList();
      this.#dropped = [];
      this.#droppedBytes = 0;
      return;
    }
    const older = this.#views[index - 1];
    for (const entry of removed.entries) {
      if (older !== undefined && entry.version <= older.view.version) {
        older.entries.push(entry);
      } else {
        this.#dropped.push(entry);
        this.#droppedBytes += entry.costBytes;
      }
    }
    this.#dropSoon();
  }

  /** Takes note that `entry` of the keydir is about to be replaced or removed by `version`. */
  replaced(entry: number, version: number): void {
    const newest = this.#views.at(-1);
    const keydir = this.#keydir;
    const ownVersion = keydir.versionOf(entry);
    if (newest === undefined || ownVersion > newest.view.version) return;
    const undo = new UndoEntry(
      keyTextOf(keydir.keyOf(entry)),
      keydir.segmentOf(entry),
      keydir.offsetOf(entry),
      keydir.lengthOf(entry),
      keydir.expiresAtMsOf(entry),
      ownVersion,
      version,
    );
    this.#list.add(undo);
    newest.entries.push(undo);
    this.#drop(DROPS_PER_ADD);
    while (this.bytes > this.#bytesMax) {
      const oldest = this.#views[0];
      if (oldest === undefined) return;
      this.remove(oldest.view);
      oldest.view.onOverflow();
    }
  }

  #dropSoon(): void {
    if (this.#isDropping || this.#dropped.length === 0) return;
    this.#isDropping = true;
    this.#clock.soon(() => {
      this.#isDropping = false;
      this.#drop(DROPS_PER_TURN);
      this.#dropSoon();
    });
  }

  #drop(count: number): void {
    for (let left = count; left > 0; left -= 1) {
      const entry = this.#dropped.pop();
      if (entry === undefined) return;
      this.#droppedBytes -= entry.costBytes;
      this.#list.remove(entry);
    }
  }
}
