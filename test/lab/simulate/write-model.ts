/**
 * What each call must have been answered: the calls one after the other, in the
 * order in which they were made, for in that order they are accepted.
 *
 * A call is judged when its fate is known and that of all before it. What it was told
 * must follow from what those made of its keys; where the wall clock leaves open what
 * that was, its answer is taken for true.
 */
import { strict as assert } from "node:assert";
import type { Condition, Expiry } from "../../../src/engine/store.js";
import { isNumber, parseNumber } from "../../../src/format/number-text.js";
import {
  type Answer,
  bytesOf,
  type Change,
  type ChangeResult,
  type KeyDemand,
  type Seen,
  unreadable,
  type WriteCall,
} from "./call.js";
import { type Entry, isOf, type KeyStates, type Visibility } from "./key-states.js";
import type { Fact, LogTruth } from "./log-truth.js";
import type { RequestBook } from "./request-book.js";
import type { WallLog } from "./wall-log.js";

/** The least and the greatest that an expiry may come to. */
export interface ExpiryRange {
  readonly lowMs: number;
  readonly highMs: number;
}

/** Judges answers, and applies calls to the states of keys. */
export class WriteModel {
  readonly #states: KeyStates;
  readonly #wall: WallLog;
  readonly #requests: RequestBook;
  readonly #truth: LogTruth;
  /** The newest version that was given out, in this life or before. */
  lastVersion: number;

  constructor(
    states: KeyStates,
    wall: WallLog,
    lastVersion: number,
    requests: RequestBook,
    truth: LogTruth,
  ) {
    this.#states = states;
    this.#wall = wall;
    this.#requests = requests;
    this.#truth = truth;
    this.lastVersion = lastVersion;
  }

  /** Judges an answered call, and applies it. */
  apply(call: WriteCall): void {
    const { answer } = call;
    assert.ok(answer, "an answered call has an answer");
    if (answer.isRepeat === true) {
      this.#requests.repeated(call, this.#states);
      return;
    }
    this.#requests.evaluated(call, this.lastVersion);
    this.#requireDemands(call, answer);
    if (!answer.applied) {
      const isNone = answer.results.every(({ version }) => version === 0);
      assert.ok(isNone, `${call}: it was not applied, and has a version`);
      return;
    }
    this.#requireTogether(call, answer.results);
    for (const [index, change] of call.ask.changes.entries()) {
      const result = answer.results[index];
      assert.ok(result, `${call}: a change has no result`);
      this.#applyOne(call, answer, change, result);
    }
    this.#tellTruth(call, answer.results);
  }

  /** Judges a call that was refused for what stood. */
  refused(call: WriteCall): void {
    const { reason, ask } = call;
    if (reason === "REQUEST_ID_REUSED") this.#requests.refused(call);
    if (reason !== "NOT_A_NUMBER" && reason !== "NUMBER_OVERFLOW") return;
    this.#requests.evaluated(call, this.lastVersion);
    const isMet = ask.demands.every((demand) => this.#met(call, demand) !== "no");
    assert.ok(isMet, `${call} is ${reason}, though a condition is unmet`);
    const isWrong = ask.changes.some((change) => {
      if (change.kind !== "increment") return false;
      const sums = this.sums(change, call, this.#states.newest(change.key));
      return reason === "NOT_A_NUMBER"
        ? sums.includes(undefined)
        : sums.some((sum) => sum !== undefined && !isNumber(sum));
    });
    assert.ok(isWrong, `${call} is ${reason}, and it is not`);
  }

  /** What an increment may come to; undefined: what stands is no number. */
  sums(
    change: Extract<Change, { kind: "increment" }>,
    call: WriteCall,
    standing: Entry | undefined,
  ): (bigint | undefined)[] {
    const seen = this.#states.visibility(standing, call.from, call.to);
    const sums: (bigint | undefined)[] = [];
    if (seen !== "no") sums.push(sumOf(standing?.value, change.delta));
    if (seen !== "yes") sums.push(change.initial + change.delta);
    return sums;
  }

  /** What a condition comes to on what stands. */
  meets(
    condition: Condition | undefined,
    standing: Entry | undefined,
    seen: Visibility,
  ): Visibility {
    switch (condition?.kind) {
      case undefined:
        return "yes";
      case "absent":
        return seen === "maybe" ? "maybe" : seen === "no" ? "yes" : "no";
      case "present":
        return seen;
      case "version":
        return standing?.version === condition.version ? seen : "no";
    }
  }

  /** What may come of an expiry that a call asked for. */
  expiryRange(expiry: Expiry, call: WriteCall, standing: Entry | undefined): ExpiryRange {
    const to = Math.min(call.to, this.#wall.now);
    switch (expiry.kind) {
      case "never":
        return { lowMs: 0, highMs: 0 };
      case "at":
        return { lowMs: expiry.atMs, highMs: expiry.atMs };
      case "ttl":
        return {
          lowMs: this.#wall.lowestBetween(call.from, to) + expiry.ttlMs,
          highMs: this.#wall.highestBetween(call.from, to) + expiry.ttlMs,
        };
      case "keep": {
        const seen = this.#states.visibility(standing, call.from, to);
        const keptMs = standing?.expiresAtMs ?? 0;
        return { lowMs: seen === "yes" ? keptMs : 0, highMs: seen === "no" ? 0 : keptMs };
      }
    }
  }

  #met(call: WriteCall, { key, condition }: KeyDemand): Visibility {
    const standing = this.#states.newest(key);
    return this.meets(condition, standing, this.#states.visibility(standing, call.from, call.to));
  }

  /** What was told of each demand must be so. */
  #requireDemands(call: WriteCall, answer: Answer): void {
    assert.equal(answer.applied, answer.unmet.length === 0, `${call}: applied with what is unmet`);
    const unmet = new Map(answer.unmet.map((each) => [each.index, each]));
    for (const [index, demand] of call.ask.demands.entries()) {
      const told = unmet.get(index);
      const met = this.#met(call, demand);
      const word = told === undefined ? "yes" : "no";
      assert.ok(met === "maybe" || met === word, `${call}: applied is ${word}, it must be ${met}`);
      if (told === undefined) continue;
      const standing = this.#states.newest(demand.key);
      const seen = this.#states.visibility(standing, call.from, call.to);
      this.#requireSame(call, told.current, standing, seen, "the record that stands");
    }
  }

  /** Versions of one commit follow each other; one that is told of no change may lie between. */
  #requireTogether(call: WriteCall, results: readonly ChangeResult[]): void {
    let last = 0;
    let untold = 0;
    for (const { version } of results) {
      if (version === 0) untold += 1;
      else if (last > 0) {
        const isNext = version > last && version <= last + 1 + untold;
        assert.ok(isNext, `B1: ${call} has version ${version} behind ${last}`);
      }
      if (version > 0) [last, untold] = [version, 0];
    }
  }

  /** What the log must tell of it. */
  #tellTruth(call: WriteCall, results: readonly ChangeResult[]): void {
    const written = new Map<number, Fact>();
    for (const [index, { key, kind }] of call.ask.changes.entries()) {
      const { version = 0, expiresAtMs = 0 } = results[index] ?? {};
      if (version === 0) continue;
      const { value } = this.#states.newest(key) ?? {};
      const isGone = kind === "delete";
      written.set(version, { kind: isGone ? "delete" : "set", key, value, expiresAtMs });
    }
    if (written.size > 0) this.#truth.wrote(call, written);
    else if (call.ask.request !== undefined) this.#truth.unheard(call);
  }

  #applyOne(call: WriteCall, answer: Answer, change: Change, result: ChangeResult): void {
    const standing = this.#states.newest(change.key);
    const seen = this.#states.visibility(standing, call.from, call.to);
    if (change.kind === "delete") this.#delete(call, change, result, seen);
    else this.#write(call, change, result, seen);
    if (call.ask.returnPrevious === true && answer.previous !== unreadable) {
      this.#requireSame(call, answer.previous, standing, seen, "the record before");
    }
    if (call.ask.returnPrevious === true && answer.previous === unreadable) {
      assert.ok(standing?.isDamaged, `${call}: the record before was sound, and is called damaged`);
    }
  }

  #delete(
    call: WriteCall,
    { key }: Change,
    { found, version }: ChangeResult,
    seen: Visibility,
  ): void {
    const deleted = found ?? version > 0;
    const told = deleted ? "yes" : "no";
    assert.ok(seen === "maybe" || seen === told, `${call}: deleted is ${told}, it must be ${seen}`);
    assert.equal(version > 0, deleted, `${call}: a delete has a version if it removed something`);
    if (!deleted) return;
    this.#requireNew(call, version);
    this.#states.put(key, { version, value: undefined, expiresAtMs: 0, since: call.from, call });
  }

  #write(
    call: WriteCall,
    change: Exclude<Change, { kind: "delete" }>,
    { found, version, expiresAtMs, number }: ChangeResult,
    seen: Visibility,
  ): void {
    const { key, expiry } = change;
    const standing = this.#states.newest(key);
    if (change.kind === "touch") {
      const told = found ? "yes" : "no";
      assert.ok(seen === "maybe" || seen === told, `${call}: found is ${told}, it must be ${seen}`);
      if (!found) {
        assert.equal(version, 0, `${call}: nothing was found, and it has a version`);
        return;
      }
    }
    this.#requireNew(call, version);
    const { lowMs, highMs } = this.expiryRange(expiry, call, standing);
    const isRight = expiresAtMs >= lowMs && expiresAtMs <= highMs;
    assert.ok(isRight, `${call}: it expires at ${expiresAtMs}, not in ${lowMs}..${highMs}`);
    let value = change.kind === "set" ? change.value : standing?.value;
    if (change.kind === "increment") {
      const sums = this.sums(change, call, standing);
      const isSum = number !== undefined && sums.includes(number) && isNumber(number);
      assert.ok(isSum, `${call}: ${key} is ${number}, it must be ${sums.join(" or ")}`);
      value = String(number);
    }
    this.#states.put(key, { version, value, expiresAtMs, since: call.from, call });
  }

  #requireNew(call: WriteCall, version: number): void {
    const last = this.lastVersion;
    assert.ok(version > last, `V15: ${call} has version ${version}, and there was ${last}`);
    this.lastVersion = version;
  }

  #requireSame(
    call: WriteCall,
    told: Seen | typeof unreadable | number | undefined,
    standing: Entry | undefined,
    seen: Visibility,
    what: string,
  ): void {
    if (told === unreadable) return;
    if (told === undefined) {
      assert.ok(seen !== "yes", `${call}: ${what} is missing: ${shown(standing)}`);
      return;
    }
    const isStanding =
      typeof told === "number"
        ? standing?.version === told
        : standing !== undefined && isOf(standing, told);
    const isRight = seen !== "no" && isStanding;
    const is = typeof told === "number" ? `version ${told}` : shown(told);
    assert.ok(isRight, `${call}: ${what} is ${is}, it must be ${shown(standing)}`);
  }
}

/** What stands and a number more; undefined: it is no number. */
export function sumOf(value: string | undefined, delta: bigint): bigint | undefined {
  const before = value === undefined ? undefined : parseNumber(bytesOf(value));
  return before === undefined ? undefined : before + delta;
}

/** For a finding. */
export function shown(record: Seen | Entry | undefined): string {
  if (record?.value === undefined) return "none";
  return `${record.value.slice(0, 12)}@${record.expiresAtMs} v${record.version}`;
}
