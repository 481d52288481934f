/**
 * What a store may show while it runs and after it was killed, stopped or lost
 * its disk, judged from outside by what its clients were told.
 *
 *     attempt: begun -> acknowledged(version) | refused | open (nobody knows its fate)
 *
 * The rules, each a sentence in what `KillOracle` throws:
 *  1. What a key shows is the acknowledged write of the highest version, or a
 *     later one that is open: an acknowledged write is never lost, what was
 *     deleted or has expired stays away (V1, M1, M2).
 *  2. A record's bytes, version and expiry are those of one attempt on its key,
 *     whole (B1); a touch carries on the value below it. An attempt that was
 *     refused, or was settled by an earlier restart, never shows (B3).
 *  3. No version is given twice, and after a restart every new version is
 *     above all that were ever seen (V15).
 *  4. A record shows only before its expiry (T1).
 *  5. The page cache outlives a process, so after a kill a BUFFERED
 *     acknowledgement binds as a SYNC one does. Where the disk forgot what was
 *     not synced, what binds are the SYNC acknowledgements and all versions below
 *     the highest of them; above it a first part of the versions may be left (D1, D4).
 */
import assert from "node:assert/strict";
import {
  type Attempt,
  fitsExpiry,
  isOpen,
  isPast,
  isSame,
  type KeyHistory,
  type SeenRecord,
  some,
  type Told,
  valuesAt,
  valuesBelow,
  versionOf,
  type Write,
  withHistory,
} from "./attempts.js";

/** What the restart follows: a process that ended, or a disk that forgot what was not synced. */
export type Loss = "process" | "unsynced";

/** The judge. Keys are text; values must differ from attempt to attempt. */
export class KillOracle {
  readonly #keys = new Map<string, KeyHistory>();
  /** Which key a version was given to. */
  readonly #owners = new Map<number, string>();
  readonly #nowMs: () => number;
  #versionsBefore = 0;
  #highest = 0;
  #durable = 0;
  #isDiskTrusted = true;

  /** `nowMs`: the clock of the machine, which the server has, too. */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** The highest version that was acknowledged or shown. */
  get highestVersion(): number {
    return this.#highest;
  }

  /** A write is about to be sent. */
  begin(key: string, write: Write, isSync = true): Attempt {
    const { floor, attempts } = this.#history(key);
    const sentAtMs = this.#nowMs();
    const attempt: Attempt = {
      ...{ key, write, isSync, floor, sentAtMs },
      ...{ told: undefined, wasRefused: false },
    };
    attempts.push(attempt);
    return attempt;
  }

  /** It was acknowledged. */
  acknowledge(attempt: Attempt, told: Told): void {
    attempt.told = told;
    const history = this.#history(attempt.key);
    if (told.version === 0) {
      const isSound = this.#mayBeAbsent(history, attempt.floor, attempt);
      assert.ok(isSound, `a ${attempt.write.kind} found nothing under a key that was there`);
      return;
    }
    const isSound =
      attempt.write.kind === "delete"
        ? told.expiresAtMs === undefined
        : fitsExpiry(attempt, told.expiresAtMs);
    assert.ok(isSound, "a write was given another expiry than it asked for");
    this.#own(told.version, attempt.key);
    history.floor = Math.max(history.floor, told.version);
    if (attempt.isSync) this.synced(told.version);
  }

  /** The server said that it was not applied. */
  refuse(attempt: Attempt): void {
    attempt.wasRefused = true;
  }

  /** The server said that everything up to this version is durable. */
  synced(version: number): void {
    if (this.#isDiskTrusted) this.#durable = Math.max(this.#durable, version);
  }

  /** The disk is about to fail: what is synced from now on, until a restart, may be lost all the same. */
  distrustDisk(): void {
    this.#isDiskTrusted = false;
  }

  /** What a reader may rely on when it begins to read `key`. */
  floorOf(key: string): number {
    return this.#history(key).floor;
  }

  /** A reader that began at `floor`, at `beganAtMs`, got `seen`, while writes went on. */
  read(key: string, seen: SeenRecord | undefined, floor: number, beganAtMs = this.#nowMs()): void {
    const history = this.#history(key);
    withHistory(history, `read at ${beganAtMs}, floor ${floor}`, () => {
      if (seen === undefined) {
        assert.ok(this.#mayBeAbsent(history, floor), "a key that nobody deleted is absent");
        return;
      }
      assert.ok(seen.version >= floor, "a read showed less than an earlier acknowledgement");
      assert.ok(!isPast(seen.expiresAtMs, beganAtMs), "an expired record shows");
      this.#matchAttempt(history, seen);
    });
  }

  /** The server was ended and started again: every key as it shows now. */
  restart(
    shown: ReadonlyMap<string, SeenRecord | undefined>,
    storeVersion: number,
    loss: Loss = "process",
  ): void {
    assert.ok(storeVersion >= this.#highest, "the store's version went back");
    if (loss === "unsynced") this.#judgePrefix(shown);
    for (const [key, history] of this.#keys) {
      assert.ok(shown.has(key), "the lab did not look at every key");
      const seen = shown.get(key);
      const floor = loss === "process" ? history.floor : this.#firmFloor(history);
      withHistory(history, `durable ${this.#durable}, now ${this.#nowMs()}, floor ${floor}`, () => {
        if (seen === undefined) this.#judgeAbsent(history, floor);
        else this.#judgeShown(key, history, seen, floor);
      });
      history.base = seen;
      history.floor = seen?.version ?? floor;
      history.baseFloor = history.floor;
      history.attempts = [];
    }
    this.#versionsBefore = Math.max(this.#highest, storeVersion);
    // Recovery has synced what it serves.
    this.#durable = this.#versionsBefore;
    this.#isDiskTrusted = true;
  }

  /** How many writes since the last restart were acknowledged, and how many are open. */
  tally(): { acknowledged: number; unknown: number } {
    const all = [...this.#keys.values()].flatMap(({ attempts }) => attempts);
    const acknowledged = all.filter(({ told }) => told !== undefined).length;
    const unknown = all.filter(isOpen).length;
    return { acknowledged, unknown };
  }

  /** The highest version of a key that no loss of what was not synced can take. */
  #firmFloor({ baseFloor, attempts }: KeyHistory): number {
    const firm = attempts.map(versionOf).filter((version) => version <= this.#durable);
    return Math.max(baseFloor, ...firm);
  }

  /** What a disk kept of the versions is a first part of them: none is left behind one that is lost. */
  #judgePrefix(shown: ReadonlyMap<string, SeenRecord | undefined>): void {
    let lowestLost = Number.POSITIVE_INFINITY;
    let highestShown = 0;
    for (const [key, { attempts }] of this.#keys) {
      const seen = shown.get(key);
      if (seen === undefined) continue;
      highestShown = Math.max(highestShown, seen.version);
      const lost = attempts.map(versionOf).filter((version) => version > seen.version);
      lowestLost = Math.min(lowestLost, ...lost);
    }
    assert.ok(highestShown < lowestLost, "a write is lost, and one that came after it is not");
  }

  #judgeAbsent(history: KeyHistory, floor: number): void {
    const { base, attempts } = history;
    const may = attempts.filter((each) => isOpen(each) || versionOf(each) > floor);
    if (may.some((each) => this.#leavesNothing(each))) return;
    const last = attempts.find((each) => versionOf(each) === floor && floor > 0);
    if (last !== undefined) {
      assert.ok(this.#leavesNothing(last), "an acknowledged write is lost");
    } else {
      const isSound = base === undefined || isPast(base.expiresAtMs, this.#nowMs());
      assert.ok(isSound, "a record that nobody touched is lost");
    }
  }

  #judgeShown(key: string, history: KeyHistory, seen: SeenRecord, floor: number): void {
    const last = history.attempts.find((each) => versionOf(each) === floor);
    const isGone = last === undefined ? history.base === undefined : this.#leavesNothing(last);
    assert.ok(
      seen.version >= floor,
      isGone ? "a deleted or expired key is back" : "an acknowledged write is lost, an older shows",
    );
    this.#matchAttempt(history, seen);
    if (seen.version !== history.base?.version) this.#own(seen.version, key);
  }

  /** The record is the base, or one attempt's: with its version and expiry if it was told them. */
  #matchAttempt(history: KeyHistory, seen: SeenRecord): void {
    const { base, attempts } = history;
    if (base !== undefined && base.version === seen.version) {
      const isSound = isSame(base.value, seen.value) && base.expiresAtMs === seen.expiresAtMs;
      assert.ok(isSound, "a record changed without a write");
      return;
    }
    const known = attempts.find((each) => versionOf(each) === seen.version);
    if (known !== undefined) {
      assert.notEqual(known.write.kind, "delete", "a record shows with the version of a delete");
      const values = valuesAt(history, known);
      assert.ok(some(values, seen.value), "a record shows with another value than written");
      assert.equal(seen.expiresAtMs, known.told?.expiresAtMs, "another expiry than told");
      return;
    }
    const source = attempts.find(
      ({ write }) => write.kind === "set" && isSame(write.value, seen.value),
    );
    const isBase = base !== undefined && isSame(base.value, seen.value);
    assert.ok(source || isBase, "a record shows that no client wrote, or that was settled before");
    assert.ok(source?.wasRefused !== true, "a refused write shows");
    const touched = valuesBelow(history, seen.version);
    const isOne = attempts.some(
      (each) =>
        isOpen(each) &&
        fitsExpiry(each, seen.expiresAtMs) &&
        (each === source || (each.write.kind === "touch" && some(touched, seen.value))),
    );
    assert.ok(isOne, "a record shows with another version or expiry than told");
  }

  /**
   * Whether a call that was sent when `floor` was acknowledged may find nothing:
   * nothing stood there then, or something of then or later (but `self`) leaves nothing.
   */
  #mayBeAbsent({ base, baseFloor, attempts }: KeyHistory, floor: number, self?: Attempt): boolean {
    const isFrom = (each: Attempt) => isOpen(each) || versionOf(each) >= Math.max(floor, 1);
    const others = attempts.filter((each) => each !== self && isFrom(each));
    if (others.some((each) => this.#leavesNothing(each))) return true;
    return floor === baseFloor && (base === undefined || isPast(base.expiresAtMs, this.#nowMs()));
  }

  /** Whether the key may be absent now if this was the last that was written to it. */
  #leavesNothing({ write, told, sentAtMs }: Attempt): boolean {
    if (write.kind === "delete") return true;
    const earliestMs = write.ttlMs === undefined ? undefined : sentAtMs + write.ttlMs;
    return isPast(told === undefined ? earliestMs : told.expiresAtMs, this.#nowMs());
  }

  #own(version: number, key: string): void {
    const owner = this.#owners.get(version);
    assert.ok(owner === undefined || owner === key, "a version was given twice");
    assert.ok(
      owner !== undefined || version > this.#versionsBefore,
      "a version went back behind a restart",
    );
    this.#owners.set(version, key);
    this.#highest = Math.max(this.#highest, version);
  }

  #history(key: string): KeyHistory {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const history: KeyHistory = { base: undefined, floor: 0, baseFloor: 0, attempts: [] };
    this.#keys.set(key, history);
    return history;
  }
}
