/**
 * Keys in order, as they come and go: blocks of sorted keys. A key is text of
 * one character a byte, so that text order is key order.
 *
 *     [a b c] [d f] [h i k l] ...      each block 1 to 512 keys
 *
 * Adding, removing and seeking are two binary searches, and at most 512 places
 * moved.
 */

const BLOCK_KEYS_MAX = 512;

/** A set of keys with an order. */
export class SortedKeys {
  readonly #blocks: string[][] = [];

  /** Adds a key that is not there. */
  add(key: string): void {
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([key]);
      return;
    }
    block.splice(lowerBound(block, key), 0, key);
    if (block.length <= BLOCK_KEYS_MAX) return;
    // Ascending keys leave full blocks behind them.
    const isLast = at === this.#blocks.length - 1 && block.at(-1) === key;
    const upper = block.splice(isLast ? BLOCK_KEYS_MAX : BLOCK_KEYS_MAX / 2);
    this.#blocks.splice(at + 1, 0, upper);
  }

  /** Removes a key that is there. */
  remove(key: string): void {
    const at = this.#blockOf(key);
    const block = this.#blocks[at] ?? [];
    const index = lowerBound(block, key);
    if (block[index] !== key) throw new Error("a key is removed that is not there");
    block.splice(index, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** The first key above `key`, or at it if `inclusive`; the first of all if it is undefined. */
  above(key: string | undefined, inclusive: boolean): string | undefined {
    if (key === undefined) return this.#blocks[0]?.[0];
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (block === undefined) return undefined;
    let index = lowerBound(block, key);
    if (!inclusive && block[index] === key) index += 1;
    return block[index] ?? this.#blocks[at + 1]?.[0];
  }

  /** The last key below `key`; the last of all if it is undefined. */
  below(key: string | undefined): string | undefined {
    if (key === undefined) return this.#blocks.at(-1)?.at(-1);
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (block === undefined) return undefined;
    return block[lowerBound(block, key) - 1] ?? this.#blocks[at - 1]?.at(-1);
  }

  /** The block that has `key`, or would: the last that does not begin above it, or the first. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#blocks[middle]?.[0] as string;
      if (first <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(low - 1, 0);
  }
}

/** Where the first key at or above `key` stands. */
function lowerBound(block: readonly string[], key: string): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((block[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
