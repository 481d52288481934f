/**
 * Items from the one used last to the one used longest ago: a doubly linked
 * list through the items themselves, so that adding and removing cost a few
 * assignments wherever the item is. An item is in at most one list, and its
 * user knows whether it is.
 */

/** What an item carries for its list. */
export interface RecencyItem<T> {
  newer: T | undefined;
  older: T | undefined;
}

/** A list of items. */
export class RecencyList<T extends RecencyItem<T>> {
  newest: T | undefined;
  oldest: T | undefined;
  count = 0;

  /** Adds an item that is in no list, as the newest. */
  add(item: T): void {
    item.older = this.newest;
    item.newer = undefined;
    if (this.newest === undefined) this.oldest = item;
    else this.newest.newer = item;
    this.newest = item;
    this.count += 1;
  }

  /** Removes an item that is in this list. */
  remove(item: T): void {
    if (item.newer === undefined) this.newest = item.older;
    else item.newer.older = item.older;
    if (item.older === undefined) this.oldest = item.newer;
    else item.older.newer = item.newer;
    item.newer = undefined;
    item.older = undefined;
    this.count -= 1;
  }
}
