/**
 * Whether a history over several keys can be put into one order that keeps real time.
 *
 * For single keys that takes a search (checker.ts). Here the store's own claim is held
 * to, which is more: versions order all writes. So the order of the writes is given,
 * and only the others are to be placed between them:
 *
 *     write    stands at its versions, which nothing else has
 *     others   stand right behind some version; each thing seen bounds which:
 *              from its own version on, up to the next write of its key
 *
 * In the order of their calls each is placed as early as what it saw and what ended
 * before it allow. That is complete: to stand earlier never hurts those that follow. If
 * one has no place left, there is no such order at all.
 */
import { type ManyKeyOperation, manyKeyLine, type Seen, type Written } from "./commit-history.js";

/** What breaks the order: a sentence with the operations in it. At most `findingsMax`. */
export function commitFaults(operations: readonly ManyKeyOperation[], findingsMax = 5): string[] {
  return new CommitOrder(operations).faults().slice(0, findingsMax);
}

/** A write and who made it. */
interface Made extends Written {
  readonly by: ManyKeyOperation;
}

class CommitOrder {
  readonly #operations: readonly ManyKeyOperation[];
  /** The writes of each key, by version. */
  readonly #byKey = new Map<number, Made[]>();
  readonly #faults: string[] = [];

  constructor(operations: readonly ManyKeyOperation[]) {
    this.#operations = operations.toSorted((one, other) => one.calledAt - other.calledAt);
    const owners = new Map<number, ManyKeyOperation>();
    for (const by of operations) {
      for (const written of by.written) {
        const other = owners.get(written.version);
        if (other !== undefined) this.#fault("a version was given twice", other, by);
        owners.set(written.version, by);
        const list = this.#byKey.get(written.key) ?? [];
        list.push({ ...written, by });
        this.#byKey.set(written.key, list);
      }
    }
    for (const list of this.#byKey.values()) list.sort((a, b) => a.version - b.version);
  }

  faults(): string[] {
    for (const operation of this.#operations) this.#checkVersions(operation);
    for (const list of this.#byKey.values()) this.#checkSums(list);
    this.#checkPlaces();
    return this.#faults;
  }

  /** Those of one operation follow one another, in the order of its mutations. */
  #checkVersions(operation: ManyKeyOperation): void {
    const [first, ...rest] = operation.written;
    for (const [index, { version }] of rest.entries()) {
      if (version === (first?.version ?? 0) + index + 1) continue;
      this.#fault("the versions of a commit do not follow one another", operation);
    }
  }

  /** Each increment adds to the write before it. */
  #checkSums(list: readonly Made[]): void {
    for (const [index, { value, delta, by }] of list.entries()) {
      const before = list[index - 1];
      if (delta === undefined || value === String(BigInt(before?.value ?? 0) + delta)) continue;
      const others = before === undefined ? [by] : [before.by, by];
      this.#fault("an increment does not add to the write before it", ...others);
    }
  }

  #checkPlaces(): void {
    /** Where those stand that have ended, by when they did; and who stands furthest. */
    const ends: { endedAt: number; place: number; by: ManyKeyOperation }[] = [];
    let floor: { place: number; by: ManyKeyOperation | undefined } = { place: 0, by: undefined };
    for (const operation of this.#operations) {
      ends.sort((one, other) => one.endedAt - other.endedAt);
      for (const end of ends.splice(0, countEnded(ends, operation.calledAt))) {
        if (end.place > floor.place) floor = end;
      }
      const place = this.#placeOf(operation, floor);
      ends.push({ endedAt: operation.endedAt, place, by: operation });
    }
  }

  #placeOf(
    operation: ManyKeyOperation,
    floor: { readonly place: number; readonly by: ManyKeyOperation | undefined },
  ): number {
    const first = operation.written[0]?.version;
    let low = floor.place;
    let high = Number.POSITIVE_INFINITY;
    for (const seen of operation.seen) {
      const span = this.#spanOf(seen);
      if (span === undefined) {
        this.#fault("a version was seen that nobody wrote", operation);
        continue;
      }
      low = Math.max(low, span.from);
      high = Math.min(high, span.to);
    }
    // A write stands where its versions are: what it saw must hold right before them.
    const hasPlace = first === undefined ? low < high : low < first && first <= high;
    if (!hasPlace) {
      const before = floor.by === undefined ? [] : [floor.by];
      this.#fault("an operation has no place", ...before, operation);
    }
    return operation.written.at(-1)?.version ?? low;
  }

  /**
   * Behind which version `seen` shows first, and at which no more: whole commits, for
   * nothing stands in the midst of one. Undefined: it never showed.
   */
  #spanOf({ key, version }: Seen): { readonly from: number; readonly to: number } | undefined {
    const list = this.#byKey.get(key) ?? [];
    const index = version === 0 ? -1 : list.findIndex((each) => each.version === version);
    if (version !== 0 && index < 0) return undefined;
    const from = list[index]?.by.written.at(-1)?.version ?? 0;
    const to = list[index + 1]?.by.written[0]?.version ?? Number.POSITIVE_INFINITY;
    return { from, to };
  }

  #fault(what: string, ...operations: readonly ManyKeyOperation[]): void {
    this.#faults.push(
      [`${what}:`, ...operations.map((each) => `  ${manyKeyLine(each)}`)].join("\n"),
    );
  }
}

function countEnded(ends: readonly { readonly endedAt: number }[], place: number): number {
  const index = ends.findIndex(({ endedAt }) => endedAt > place);
  return index < 0 ? ends.length : index;
}
