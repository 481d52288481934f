/**
 * What a store may show after a `kill -9`, judged from outside by what its
 * clients were told.
 *
 *     attempt: begun -> acknowledged(version) | refused | unknown (the call broke)
 *
 * The rules, each a sentence in what `KillOracle` throws:
 *  1. What a key shows is the acknowledged write of the highest version, or a
 *     later one whose fate is unknown: an acknowledged write is never lost, a
 *     deleted key stays deleted (V1, M1).
 *  2. A record's bytes are those of one attempt on its key, whole (B1); an
 *     attempt that was refused, or was settled by an earlier restart, never
 *     shows (B3).
 *  3. No version is given twice, and after a restart every new version is
 *     above all that were ever seen (V15).
 *
 * A kill does not lose the page cache, so a BUFFERED acknowledgement binds as a
 * SYNC one does.
 */
import assert from "node:assert/strict";

/** What a Get showed. */
export interface SeenRecord {
  readonly value: Uint8Array;
  readonly version: number;
}

/** One write that a client tried. */
export interface Attempt {
  readonly key: string;
  /** Undefined: a delete. */
  readonly value: Uint8Array | undefined;
  /** What was acknowledged under the key when the write was sent. */
  readonly floor: number;
  /** Set by an acknowledgement; 0: it changed nothing. */
  version: number | undefined;
  wasRefused: boolean;
}

/** A key, and all that may stand under it. */
interface KeyHistory {
  /** The record that the last restart showed, if any. */
  base: SeenRecord | undefined;
  /** The highest acknowledged or shown version, now and at the last restart. */
  floor: number;
  baseFloor: number;
  /** The attempts since the last restart. */
  attempts: Attempt[];
}

/** The judge. Keys are text; values must differ from attempt to attempt. */
export class KillOracle {
  readonly #keys = new Map<string, KeyHistory>();
  /** Which key a version was given to. */
  readonly #owners = new Map<number, string>();
  #versionsBefore = 0;
  #highest = 0;

  /** A write is about to be sent. */
  begin(key: string, value: Uint8Array | undefined): Attempt {
    const { floor, attempts } = this.#history(key);
    const attempt: Attempt = { key, value, floor, version: undefined, wasRefused: false };
    attempts.push(attempt);
    return attempt;
  }

  /** It was acknowledged; version 0: a delete that found nothing. */
  acknowledge(attempt: Attempt, version: number): void {
    attempt.version = version;
    const history = this.#history(attempt.key);
    if (version === 0) {
      const isSound = mayBeAbsent(history, attempt.floor, attempt);
      assert.ok(isSound, "a delete found nothing under a key that was there");
      return;
    }
    this.#own(version, attempt.key);
    history.floor = Math.max(history.floor, version);
  }

  /** The server said that it was not applied. */
  refuse(attempt: Attempt): void {
    attempt.wasRefused = true;
  }

  /** What a reader may rely on when it begins to read `key`. */
  floorOf(key: string): number {
    return this.#history(key).floor;
  }

  /** A reader that began at `floor` got `seen`, while writes went on. */
  read(key: string, seen: SeenRecord | undefined, floor: number): void {
    const history = this.#history(key);
    if (seen === undefined) {
      assert.ok(mayBeAbsent(history, floor), "a key that nobody deleted is absent");
    } else {
      assert.ok(seen.version >= floor, "a read showed less than an earlier acknowledgement");
      this.#matchAttempt(history, seen);
    }
  }

  /** The server was killed or stopped, and started again: every key as it shows now. */
  restart(shown: ReadonlyMap<string, SeenRecord | undefined>, storeVersion: number): void {
    assert.ok(storeVersion >= this.#highest, "the store's version went back");
    for (const [key, history] of this.#keys) {
      assert.ok(shown.has(key), "the test did not look at every key");
      const seen = shown.get(key);
      if (seen === undefined) this.#judgeAbsent(history);
      else this.#judgeShown(key, history, seen);
      history.base = seen;
      history.baseFloor = history.floor;
      history.attempts = [];
    }
    this.#versionsBefore = Math.max(this.#highest, storeVersion);
  }

  /** How many writes since the last restart were acknowledged, and how many are of unknown fate. */
  tally(): { acknowledged: number; unknown: number } {
    const all = [...this.#keys.values()].flatMap(({ attempts }) => attempts);
    const acknowledged = all.filter(({ version }) => version !== undefined).length;
    const unknown = all.filter(isOpen).length;
    return { acknowledged, unknown };
  }

  #judgeAbsent(history: KeyHistory): void {
    if (history.attempts.some((each) => each.value === undefined && isOpen(each))) return;
    const last = lastAcknowledged(history);
    if (last === undefined) {
      assert.equal(history.base, undefined, "a record that nobody touched is lost");
    } else {
      assert.equal(last.value, undefined, "an acknowledged write is lost");
    }
  }

  #judgeShown(key: string, history: KeyHistory, seen: SeenRecord): void {
    const wasDeleted = lastAcknowledged(history)?.value === undefined;
    assert.ok(
      seen.version >= history.floor,
      wasDeleted ? "a deleted key is back" : "an acknowledged write is lost, an older one shows",
    );
    this.#matchAttempt(history, seen);
    if (seen.version !== history.base?.version) this.#own(seen.version, key);
    history.floor = seen.version;
  }

  /** The record is the base, or one attempt's: with its version if it was told one. */
  #matchAttempt(history: KeyHistory, seen: SeenRecord): void {
    const { base } = history;
    if (base !== undefined && base.version === seen.version) {
      assert.ok(isSame(base.value, seen.value), "a record changed without a write");
      return;
    }
    const attempt = history.attempts.find(({ value }) => value && isSame(value, seen.value));
    assert.ok(attempt, "a record shows that no client wrote, or one that was settled before");
    assert.ok(!attempt.wasRefused, "a refused write shows");
    if (attempt.version === undefined) return;
    assert.equal(seen.version, attempt.version, "a record shows with another version than told");
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

/**
 * Whether a call that was sent when `floor` was acknowledged may find nothing:
 * somebody (but for `self`) deletes the key, or nothing stood there then.
 */
function mayBeAbsent(history: KeyHistory, floor: number, self?: Attempt): boolean {
  const { base, baseFloor, attempts } = history;
  const isDelete = (each: Attempt) => each.value === undefined && !each.wasRefused;
  if (attempts.some((each) => each !== self && isDelete(each))) return true;
  return base === undefined && floor === baseFloor;
}

/** Whether nobody knows if it was applied. */
function isOpen(attempt: Attempt): boolean {
  return attempt.version === undefined && !attempt.wasRefused;
}

function lastAcknowledged({ attempts }: KeyHistory): Attempt | undefined {
  return attempts.reduce<Attempt | undefined>((last, each) => {
    const version = each.version ?? 0;
    return version > (last?.version ?? 0) ? each : last;
  }, undefined);
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
