/**
 * The undo list: index entries that were replaced or removed while a snapshot
 * that can see them was open. By key, and in key order.
 *
 *     key -> newest replaced entry -> older -> ...     versions descend
 *
 * An entry was the newest of its key from its version on until the version that
 * took its place: a snapshot sees it if its own version lies between. An entry
 * that nobody sees any more may lie here for a while; no snapshot finds it.
 *
 * An entry counts 256 bytes and its key, about what it takes of the heap.
 */
import { SortedKeys } from "./sorted-keys.js";

/** What an entry counts for beside its key. */
const ENTRY_BYTES = 256;

/** An index entry as it was. */
export class UndoEntry {
  /** The key, one character a byte. */
  readonly keyText: string;
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  readonly version: number;
  /** The version of the write that took its place. */
  readonly replacedBy: number;
  /** The entry of the key that was replaced before; no snapshot that sees this one sees that. */
  older: UndoEntry | undefined = undefined;

  constructor(
    keyText: string,
    segment: number,
    offset: number,
    length: number,
    expiresAtMs: number,
    version: number,
    replacedBy: number,
  ) {
    this.keyText = keyText;
    this.segment = segment;
    this.offset = offset;
    this.length = length;
    this.expiresAtMs = expiresAtMs;
    this.version = version;
    this.replacedBy = replacedBy;
  }

  get costBytes(): number {
    return ENTRY_BYTES + this.keyText.length;
  }
}

/** Replaced entries. */
export class UndoList {
  readonly #newest = new Map<string, UndoEntry>();
  readonly #keys = new SortedKeys();
  #bytes = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds an entry whose `replacedBy` is above all that were added before. */
  add(entry: UndoEntry): void {
    const newest = this.#newest.get(entry.keyText);
    if (newest === undefined) this.#keys.add(entry.keyText);
    entry.older = newest;
    this.#newest.set(entry.keyText, entry);
    this.#bytes += entry.costBytes;
    this.#count += 1;
  }

  /** Drops an entry that is in it. */
  remove(entry: UndoEntry): void {
    const { keyText } = entry;
    let newer = this.#newest.get(keyText);
    if (newer === entry) {
      if (entry.older === undefined) {
        this.#newest.delete(keyText);
        this.#keys.remove(keyText);
      } else {
        this.#newest.set(keyText, entry.older);
      }
    } else {
      while (newer !== undefined && newer.older !== entry) newer = newer.older;
      if (newer === undefined) throw new Error("an undo entry is dropped that is not there");
      newer.older = entry.older;
    }
    this.#bytes -= entry.costBytes;
    this.#count -= 1;
  }

  /** What a key had at `version`, if that was replaced since. */
  find(keyText: string, version: number): UndoEntry | undefined {
    let entry = this.#newest.get(keyText);
    while (entry !== undefined && entry.version > version) entry = entry.older;
    return entry !== undefined && version < entry.replacedBy ? entry : undefined;
  }

  /** The first key above `keyText`, or at it if `inclusive`; of all if it is undefined. */
  keyAbove(keyText: string | undefined, inclusive: boolean): string | undefined {
    return this.#keys.above(keyText, inclusive);
  }

  /** The last key below `keyText`; of all if it is undefined. */
  keyBelow(keyText: string | undefined): string | undefined {
    return this.#keys.below(keyText);
  }
}
