/**
 * What a store may be when it is opened again: the state after some prefix of the
 * calls of the life before, in their order, that reaches at least as far as the last
 * one which had to be durable. Every record must be there with value, version and
 * expiry; so a state between two calls, or half of a batch, is none.
 *
 *     base | call call call call(durable) call call(open) call(open)
 *                                        `------- any of these ends ------'
 *
 * Of a call that was never answered it is open whether the store had refused it
 * before it went; such calls may be left out where something could be refused. And
 * whether its conditions held, or its request was known: such a call may be left out as a
 * whole at any time, but never in part.
 */
import { strict as assert } from "node:assert";
import { type Change, newestOf, type Seen, unreadable, type WriteCall, writtenBy } from "./call.js";
import type { History } from "./history.js";
import type { Entry } from "./key-states.js";
import { KeyStates } from "./key-states.js";
import type { Found } from "./look-judge.js";
import type { RottenRecord } from "./rot.js";
import type { WallLog } from "./wall-log.js";
import { type ExpiryRange, shown, sumOf } from "./write-model.js";

/** What a prefix may have left of a key. */
interface Supposed {
  /** The call; -1: an earlier life. */
  readonly order: number;
  /** What it may have left; undefined: nothing. A call of unknown outcome may have found several. */
  readonly values: readonly (string | undefined)[];
  /** Undefined: it is not known. */
  readonly version: number | undefined;
  readonly lowMs: number;
  readonly highMs: number;
  readonly since: number;
  /** It may be that the call changed nothing. */
  readonly isDoubtful: boolean;
  /** It could not be read in an earlier life, and was a tombstone. */
  readonly wasTombstone: boolean;
}

/** What else is known of the store that is judged. */
export interface Circumstances {
  readonly where: string;
  /** Nothing was lost but the process: all that was answered is there. */
  readonly hasAll: boolean;
  /** The store could refuse a call: the disk failed, or something was full. */
  readonly couldRefuse: boolean;
  /** Records whose bytes were damaged on the disk: these may be unreadable, and no others. */
  readonly rotten: readonly RottenRecord[];
  /** And the store says that it does not know which. */
  readonly hasUnknownKeys: boolean;
}

/** Calls that may have been left out: more would be too many to go through. */
const leftOutMax = 10;

/** Judges one recovered state. */
export class RecoveryJudge {
  readonly #history: History;
  readonly #wall: WallLog;
  readonly #supposed = new Map<string, Supposed[]>();
  /** Calls of unknown outcome; and of these, those that may have come to nothing anyway. */
  readonly #open: number[] = [];
  readonly #conditional: number[] = [];

  constructor(history: History, wall: WallLog) {
    this.#history = history;
    this.#wall = wall;
    for (const key of history.states.keys) {
      const entries = history.states.of(key).map((entry) => supposedOf(entry));
      this.#supposed.set(key, entries);
    }
    for (const call of history.calls.slice(history.settled)) this.#suppose(call);
    for (const call of history.calls) {
      if (call.fate === "unknown" && call.order < history.settled) this.#suppose(call);
    }
    for (const entries of this.#supposed.values()) {
      entries.sort((one, other) => one.order - other.order);
    }
  }

  /** Asserts that `recovered` may be; answers the states that the next life begins with. */
  judge(recovered: ReadonlyMap<string, Found>, circumstances: Circumstances): KeyStates {
    const { calls } = this.#history;
    for (const [key, found] of recovered) {
      if (this.#supposed.has(key)) continue;
      const isLost = found === unreadable && lostTombstone(key, circumstances) !== undefined;
      assert.ok(isLost, `${circumstances.where}: ${key} was not there, and nobody wrote it since`);
      this.#supposed.set(key, []);
    }
    const from = this.survivedUpTo(circumstances.hasAll);
    for (const leftOut of this.#leavings(circumstances)) {
      for (let to = from; to < calls.length; to += 1) {
        const next = this.#adopt(recovered, to, leftOut, circumstances);
        if (next !== undefined) return next;
      }
    }
    assert.fail(this.#why(recovered, from, circumstances));
  }

  /** The last call that must be there. */
  survivedUpTo(hasAll: boolean): number {
    const { calls, durableOrder } = this.#history;
    if (!hasAll) return durableOrder;
    return Math.max(
      calls.findLastIndex(({ answer }) => newestOf(answer) > 0),
      durableOrder,
    );
  }

  /** Sets of open calls that may have come to nothing; first of all, none. */
  *#leavings({ couldRefuse }: Circumstances): Generator<ReadonlySet<number>> {
    yield new Set();
    const open = (couldRefuse ? this.#open : this.#conditional).slice(0, leftOutMax);
    for (let mask = 1; mask < 2 ** open.length; mask += 1) {
      yield new Set(open.filter((_, index) => (mask & (1 << index)) !== 0));
    }
  }

  /** The next life's states, if `recovered` is what the calls up to `to` leave. */
  #adopt(
    recovered: ReadonlyMap<string, Found>,
    to: number,
    leftOut: ReadonlySet<number>,
    circumstances: Circumstances,
  ): KeyStates | undefined {
    const next = new KeyStates(this.#wall);
    for (const [key, entries] of this.#supposed) {
      const found = recovered.get(key);
      const match = this.#match(key, entries, found, to, leftOut, circumstances);
      if (match === undefined) return undefined;
      if (match !== "absent") next.put(key, match);
    }
    return next;
  }

  /** What a key has if that was found of it; undefined: that cannot be. */
  #match(
    key: string,
    entries: readonly Supposed[],
    found: Found,
    to: number,
    leftOut: ReadonlySet<number>,
    circumstances: Circumstances,
  ): Entry | "absent" | undefined {
    for (let index = entries.length - 1; index >= 0; index -= 1) {
      const entry = entries[index] as Supposed;
      if (entry.order > to || leftOut.has(entry.order)) continue;
      const { since } = entry;
      if (found === undefined) {
        if (this.#mayBeGone(entry) || circumstances.hasUnknownKeys) return "absent";
      } else if (found === unreadable) {
        const record = circumstances.rotten.find((one) => this.#isLost(key, entry, one));
        if (record !== undefined) return unreadableEntry(record, since);
      } else if (isSame(entry, found)) return { ...found, since };
      if (!entry.isDoubtful) return undefined;
    }
    if (found === undefined) return "absent";
    const record = found === unreadable ? lostTombstone(key, circumstances) : undefined;
    return record && unreadableEntry(record, this.#wall.now);
  }

  #mayBeGone(entry: Supposed): boolean {
    return entry.values.includes(undefined) || entry.wasTombstone || this.#mayBeSwept(entry);
  }

  /** Whether a damaged record is that of an entry, or the tombstone of its sweep. */
  #isLost(key: string, entry: Supposed, record: RottenRecord): boolean {
    if (record.key !== key) return false;
    const { values, version = record.version, wasTombstone } = entry;
    if (record.isTombstone && !values.includes(undefined) && !wasTombstone) {
      return record.version > version && this.#mayBeSwept(entry);
    }
    return record.version === version && values.some((value) => record.value === (value ?? ""));
  }

  #mayBeSwept({ lowMs, highMs, since }: Supposed): boolean {
    return highMs !== 0 && this.#wall.highestSince(since) >= lowMs;
  }

  /** What a call may have done whose answer nobody heard, or whose place is behind such a call. */
  #suppose(call: WriteCall): void {
    const { ask, order, answer, fate } = call;
    if (fate === "refused" || answer?.isRepeat === true || answer?.applied === false) return;
    const isOpen = answer === undefined;
    // Whether its condition held then is not asked: it may have, or not.
    const isConditional =
      ask.demands.length > 0 ||
      ask.request !== undefined ||
      ask.changes.some(({ kind }) => kind === "increment");
    if (isOpen) this.#open.push(order);
    if (isOpen && isConditional) this.#conditional.push(order);
    for (const [index, change] of ask.changes.entries()) {
      const version = isOpen ? undefined : writtenBy(answer, index);
      if (version === 0) continue;
      const { key } = change;
      const entries = this.#supposed.get(key) ?? [];
      this.#supposed.set(key, entries);
      const below = this.#below(entries, order);
      const result = answer?.results[index];
      const values =
        result?.number !== undefined ? [String(result.number)] : valuesOf(change, below);
      if (values.length === 0) continue;
      const isDoubtful = isOpen && (change.kind === "touch" || change.kind === "delete");
      const range =
        result === undefined || change.kind === "delete"
          ? this.#rangeOf(change, call, below)
          : { lowMs: result.expiresAtMs, highMs: result.expiresAtMs };
      const since = call.from;
      entries.push({ order, values, version, since, wasTombstone: false, isDoubtful, ...range });
    }
  }

  /** What may stand under a key when a call is accepted: the newest of these that was made. */
  #below(entries: readonly Supposed[], order: number): Supposed[] {
    const below: Supposed[] = [];
    for (const entry of entries.filter((each) => each.order < order).reverse()) {
      below.push(entry);
      const isSure = !entry.isDoubtful && !this.#open.includes(entry.order);
      if (isSure) break;
    }
    return below;
  }

  /** When what a call wrote expires. */
  #rangeOf(change: Change, call: WriteCall, below: readonly Supposed[]): ExpiryRange {
    if (change.kind === "delete") return { lowMs: 0, highMs: 0 };
    const { expiry } = change;
    const { model, states } = this.#history;
    if (expiry.kind !== "keep" || below.length <= 1) {
      return model.expiryRange(expiry, call, states.newest(change.key));
    }
    return { lowMs: 0, highMs: Math.max(...below.map(({ highMs }) => highMs)) };
  }

  #why(recovered: ReadonlyMap<string, Found>, from: number, { where }: Circumstances): string {
    const lines = Array.from(this.#supposed, ([key, entries]) => {
      const found = recovered.get(key);
      const is = found === unreadable ? "unreadable" : shown(found);
      const all = entries.slice(-5).map(({ order, values, version, lowMs, highMs }) => {
        const words = values.map((value) => value?.slice(0, 12) ?? "none").join(" or ");
        return `${order}: ${words}@${lowMs === highMs ? lowMs : `${lowMs}..${highMs}`} v${version}`;
      });
      return `  ${key} is ${is}; calls made it ${all.join(" | ") || "nothing"}`;
    });
    const open = this.#open.map((order) => String(this.#history.calls[order]));
    return (
      `${where}: the state is none that the store may be in\n` +
      `durable up to call ${from} of ${this.#history.calls.length}; open: ${open.join("; ") || "none"}\n${lines.join("\n")}`
    );
  }
}

/** What a change may leave, over what may have stood. */
function valuesOf(change: Change, below: readonly Supposed[]): readonly (string | undefined)[] {
  switch (change.kind) {
    case "set":
      return [change.value];
    case "delete":
      return [undefined];
    case "touch":
      return below.flatMap(({ values }) => values.filter((value) => value !== undefined));
    case "increment": {
      const { delta, initial } = change;
      const sums = below.flatMap(({ values }) => values.map((value) => sumOf(value, delta)));
      const numbers = [initial + delta, ...sums.filter((sum) => sum !== undefined)];
      return Array.from(new Set(numbers.map(String)));
    }
  }
}

function supposedOf(entry: Entry): Supposed {
  const { value, version, expiresAtMs, since, call, wasTombstone = false } = entry;
  const range = { lowMs: expiresAtMs, highMs: expiresAtMs };
  return {
    order: call?.order ?? -1,
    values: [value],
    version,
    ...range,
    since,
    isDoubtful: false,
    wasTombstone,
  };
}

/** The tombstone of a key that was damaged: of a delete long ago, that no history has any more. */
function lostTombstone(key: string, { rotten }: Circumstances): RottenRecord | undefined {
  return rotten.find((record) => record.key === key && record.isTombstone);
}

/** What cannot be read counts as a record, also where it was a tombstone. */
function unreadableEntry(record: RottenRecord, since: number): Entry {
  const { value, version, expiresAtMs, isTombstone } = record;
  return { value, version, expiresAtMs, since, isDamaged: true, wasTombstone: isTombstone };
}

function isSame({ values, version, lowMs, highMs }: Supposed, found: Seen): boolean {
  if (!values.includes(found.value) || (version !== undefined && version !== found.version))
    return false;
  return found.expiresAtMs >= lowMs && found.expiresAtMs <= highMs;
}
