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
import { type Answer, type Change, type Seen, unreadable, type WriteCall } from "./call.js";
import { type Entry, isOf, type KeyStates, type Visibility } from "./key-states.js";
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
  /** The newest version that was given out, in this life or before. */
  lastVersion: number;

  constructor(states: KeyStates, wall: WallLog, lastVersion: number) {
    this.#states = states;
    this.#wall = wall;
    this.lastVersion = lastVersion;
  }

  /** Judges an answered call, and applies it. */
  apply(call: WriteCall): void {
    const { ask, answer } = call;
    assert.ok(answer, "an answered call has an answer");
    for (const [index, change] of ask.changes.entries()) {
      this.#applyOne(call, answer, change, answer.versions[index] ?? 0);
    }
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

  #applyOne(call: WriteCall, answer: Answer, change: Change, version: number): void {
    const { condition } = call.ask;
    const standing = this.#states.newest(change.key);
    const seen = this.#states.visibility(standing, call.from, call.to);
    const met = this.meets(condition, standing, seen);
    const told = answer.applied ? "yes" : "no";
    assert.ok(met === "maybe" || met === told, `${call}: applied is ${told}, it must be ${met}`);
    if (!answer.applied) {
      assert.equal(version, 0, `${call}: it was not applied, and has a version`);
      this.#requireSame(call, answer.current, standing, seen, "the record that stands");
      return;
    }
    if (change.kind === "delete") this.#delete(call, answer, change, version, seen);
    else this.#write(call, answer, change, version, seen);
    if (call.ask.returnPrevious === true && answer.previous !== unreadable) {
      this.#requireSame(call, answer.previous, standing, seen, "the record before");
    }
    if (call.ask.returnPrevious === true && answer.previous === unreadable) {
      assert.ok(standing?.isDamaged, `${call}: the record before was sound, and is called damaged`);
    }
  }

  #delete(
    call: WriteCall,
    { found }: Answer,
    { key }: Change,
    version: number,
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
    answer: Answer,
    change: Exclude<Change, { kind: "delete" }>,
    version: number,
    seen: Visibility,
  ): void {
    const { key, expiry } = change;
    const standing = this.#states.newest(key);
    if (change.kind === "touch") {
      const told = answer.found ? "yes" : "no";
      assert.ok(seen === "maybe" || seen === told, `${call}: found is ${told}, it must be ${seen}`);
      if (!answer.found) {
        assert.equal(version, 0, `${call}: nothing was found, and it has a version`);
        return;
      }
    }
    this.#requireNew(call, version);
    const { lowMs, highMs } = this.expiryRange(expiry, call, standing);
    const expiresAtMs = answer.expiresAtMs ?? lowMs;
    const isRight = expiresAtMs >= lowMs && expiresAtMs <= highMs;
    assert.ok(isRight, `${call}: it expires at ${expiresAtMs}, not in ${lowMs}..${highMs}`);
    const value = change.kind === "set" ? change.value : standing?.value;
    this.#states.put(key, { version, value, expiresAtMs, since: call.from, call });
  }

  #requireNew(call: WriteCall, version: number): void {
    const last = this.lastVersion;
    assert.ok(version > last, `V15: ${call} has version ${version}, and there was ${last}`);
    this.lastVersion = version;
  }

  #requireSame(
    call: WriteCall,
    told: Seen | typeof unreadable | undefined,
    standing: Entry | undefined,
    seen: Visibility,
    what: string,
  ): void {
    if (told === unreadable) return;
    if (told === undefined) {
      assert.ok(seen !== "yes", `${call}: ${what} is missing: ${JSON.stringify(standing)}`);
      return;
    }
    const isRight = seen !== "no" && standing !== undefined && isOf(standing, told);
    assert.ok(isRight, `${call}: ${what} is ${shown(told)}, it must be ${shown(standing)}`);
  }
}

/** For a finding. */
export function shown(record: Seen | Entry | undefined): string {
  if (record?.value === undefined) return "none";
  return `${record.value.slice(0, 12)}@${record.expiresAtMs} v${record.version}`;
}
