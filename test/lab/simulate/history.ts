/**
 * All that clients of one life asked and were told, and the judge of it while it goes
 * on. What is held against what:
 *
 *     a write    the writes before it, in the order of the calls (write-model.ts)
 *     a read     the state at the version that was published when it looked: exactly
 *                that, for every key it covers; and that version is neither older than
 *                what was acknowledged or seen before, nor does it go back
 *     a SYNC     the durable bytes of the disk, at the moment of its answer, or when
 *                somebody sees it earlier; also one that changed nothing, for what stands
 *     a refusal  whatever bytes a power cut may leave
 *
 * A read waits for its verdict until the fate of every call made before its answer is
 * known.
 */
import { strict as assert } from "node:assert";
import type { Reason } from "../../../src/base/error-catalogue.js";
import {
  type Answer,
  type Ask,
  type Change,
  type Heard,
  newestOf,
  type Seen,
  unreadable,
  WriteCall,
  writtenBy,
} from "./call.js";
import type { DurableView } from "./durable-view.js";
import type { KeyStates } from "./key-states.js";
import type { LogTruth } from "./log-truth.js";
import { judgeLook, type Look } from "./look-judge.js";
import type { RequestBook } from "./request-book.js";
import type { WallLog } from "./wall-log.js";
import { WriteModel } from "./write-model.js";

/** A verdict that waits; it is told whether the life is over, and open calls stay so. */
interface Waiting {
  readonly judge: (isOver: boolean) => void;
  /** How many calls had been made by then. */
  readonly calls: number;
}

/** What one life was told. */
export class History {
  readonly calls: WriteCall[] = [];
  readonly states: KeyStates;
  readonly model: WriteModel;
  readonly #wall: WallLog;
  readonly #durable: Pick<DurableView, "has" | "mayHave">;
  readonly #truth: LogTruth;
  readonly #waiting: Waiting[] = [];
  /** Values, and the calls that wrote them. */
  readonly #byValue = new Map<string, WriteCall>();
  #settled = 0;
  /** All calls up to this one are durable, or will never be. */
  #durableOrder = -1;
  /** The newest version that anybody was told of, or has seen published. */
  #versionSeen: number;
  /** A write's outcome was unknown: nothing may be acknowledged any more (V10). */
  #isInDoubt = false;
  judged = 0;

  constructor(
    states: KeyStates,
    wall: WallLog,
    durable: Pick<DurableView, "has" | "mayHave">,
    lastVersion: number,
    requests: RequestBook,
    truth: LogTruth,
  ) {
    this.states = states;
    this.#wall = wall;
    this.#durable = durable;
    this.#truth = truth;
    this.model = new WriteModel(states, wall, lastVersion, requests, truth);
    this.#versionSeen = lastVersion;
  }

  get versionSeen(): number {
    return this.#versionSeen;
  }

  /** The last call, in their order, that must survive a power cut. */
  get durableOrder(): number {
    return this.#durableOrder;
  }

  /** Calls whose fate is known, from the first on; the model is at their end. */
  get settled(): number {
    return this.#settled;
  }

  /** Changes that the states do not have, and the store may: calls under way or of unknown outcome. */
  get changesUnderWay(): number {
    let changes = 0;
    for (const { order, fate, ask } of this.calls) {
      if (order >= this.#settled || fate === "unknown") changes += ask.changes.length;
    }
    return changes;
  }

  /** A call is made. */
  begin(ask: Ask): WriteCall {
    const call = new WriteCall(ask, this.calls.length, this.#wall.now);
    this.calls.push(call);
    for (const change of ask.changes) {
      // Of a repeat it is not known whether it is the one that writes.
      const isNew = change.kind === "set" && ask.isRepeat !== true;
      if (isNew) this.#byValue.set(change.value, call);
    }
    return call;
  }

  answered(call: WriteCall, answer: Answer, heard?: Heard): void {
    const newest = newestOf(answer);
    if (newest > 0) {
      assert.ok(!this.#isInDoubt, `V10: ${call} is acknowledged after a failed sync`);
      if (call.ask.durability === "sync") this.#requireDurable(call, answer);
    } else if (call.ask.durability === "sync" && answer.isRepeat !== true) {
      this.#requireStanding(call, answer, heard?.floor ?? 0);
    }
    this.#versionSeen = Math.max(this.#versionSeen, newest);
    call.answer = answer;
    call.heard = heard;
    this.#settle(call, "answered");
  }

  /** A call has failed; `isUnknown`: nobody knows whether it was applied. */
  failed(call: WriteCall, isUnknown: boolean, reason?: Reason, heard?: Heard): void {
    if (isUnknown) this.#isInDoubt = true;
    call.reason = reason;
    call.heard = heard;
    this.#settle(call, isUnknown ? "unknown" : "refused");
  }

  /** Asserts that nothing is left of a call that was not applied, as its client was told. */
  requireUnwritten(call: WriteCall): void {
    const { changes, request } = call.ask;
    // Under the name of a request somebody else may have come through.
    if (request !== undefined) return;
    for (const change of changes) {
      if (change.kind !== "set") continue;
      const mayBeThere = this.#durable.mayHave(change.key, change.value);
      assert.ok(!mayBeThere, `D6 B3: ${call} is not applied, and a power cut may leave it`);
    }
  }

  /** These are the store's segments from now on: asserts that all that must be there is durable in them. */
  requireKept(keys: readonly string[], fileNames: ReadonlySet<string>): void {
    const busy = new Set<string>();
    for (const { fate, order, ask } of this.calls) {
      if (order < this.#settled && fate !== "unknown") continue;
      for (const { key } of ask.changes) busy.add(key);
    }
    for (const key of keys) {
      if (busy.has(key)) continue;
      const entries = this.states.of(key);
      const last = entries.findLastIndex(({ call }) => (call?.order ?? -1) <= this.#durableOrder);
      const isThere = entries.slice(Math.max(last, 0)).some((entry) => {
        const { value, version } = entry;
        const isGone = value === undefined || entry.isDamaged || this.states.mayBeSwept(entry);
        return isGone || this.#durable.has(key, value, version, fileNames);
      });
      assert.ok(last === -1 || isThere, `V16: a segment leaves, and ${key} is durable in no other`);
    }
  }

  /** The version that is published, as somebody sees it before or after a look. */
  published(version: number): void {
    const seen = this.#versionSeen;
    assert.ok(version >= seen, `V14: version ${version} is published after ${seen} was`);
    this.#versionSeen = version;
  }

  /** A read was answered. */
  looked(look: Look): void {
    for (const [key, found] of look.found) {
      if (found !== undefined && found !== unreadable) this.#requireVisible(look, key, found);
    }
    this.#wait((isOver) => {
      this.judged += 1;
      judgeLook(look, this.states, isOver ? this.#openCalls() : []);
    });
  }

  /** Who read the log from one version to another was told these. */
  toldAll(after: number, upTo: number, told: ReadonlySet<number>): void {
    this.#wait(() => {
      for (const { answer } of this.calls.slice(0, this.#settled)) {
        if (answer === undefined || answer.isRepeat === true) continue;
        for (const { version } of answer.results) {
          const isMissing = version > after && version <= upTo && !told.has(version);
          assert.ok(!isMissing, `log: version ${version} of ${after}..${upTo} is not told`);
        }
      }
    });
  }

  /** Judges when all calls that were made up to now are answered, or the life is over. */
  afterCalls(judge: () => void): void {
    this.#wait(judge);
  }

  /** Somebody was told of what a call wrote, and that it is durable. */
  seenDurable(value: string): void {
    const call = this.#byValue.get(value);
    if (call !== undefined) this.durableUpTo(call.order + 1);
  }

  /** Asserts that a record, or its tombstone, is durable. */
  requireStored(key: string, value: string | undefined, version: number, who: string): void {
    const isThere = this.#durable.has(key, value, version);
    assert.ok(isThere, `${who} tells of version ${version} of ${key}, which is not durable`);
  }

  /** All calls that were made before `order` are durable. */
  durableUpTo(order: number): void {
    this.#durableOrder = Math.max(this.#durableOrder, order - 1);
  }

  /** The life is over. What is still open stays so; reads are judged with what is known. */
  finish(): void {
    for (const call of this.calls.slice(this.#settled)) this.#truth.unheard(call);
    for (const { judge } of this.#waiting.splice(0)) judge(true);
  }

  #settle(call: WriteCall, fate: WriteCall["fate"]): void {
    call.fate = fate;
    call.to = this.#wall.now;
    for (;;) {
      const next = this.calls[this.#settled];
      if (next === undefined || next.fate === "open") break;
      if (next.fate === "answered") this.#apply(next);
      else if (next.fate === "unknown") this.#truth.unheard(next);
      else this.model.refused(next);
      this.#settled += 1;
      this.#judgeReads();
    }
  }

  #apply(call: WriteCall): void {
    const { ask, answer } = call;
    const [first] = ask.changes;
    const standing = first && this.states.newest(first.key);
    const isThere = this.states.visibility(standing, call.from, call.to);
    this.model.apply(call);
    if (ask.durability !== "sync" || answer?.isRepeat === true) return;
    // What changed nothing tells of what stands, and that is durable by then.
    if (newestOf(answer) > 0) this.durableUpTo(call.order + 1);
    else if (ask.changes.length !== 1) return;
    else if (isThere === "no") this.durableUpTo(call.order);
    else if (isThere === "yes" && standing?.call !== undefined) {
      this.durableUpTo(standing.call.order + 1);
    }
  }

  #requireDurable(call: WriteCall, answer: Answer): void {
    this.durableUpTo(call.order + 1);
    // An answer that waited for a record to be read may come after the next compaction.
    if (call.ask.returnPrevious === true && answer.previous !== undefined) return;
    for (const [index, change] of call.ask.changes.entries()) {
      const version = writtenBy(answer, index);
      if (version === 0 || change.kind === "touch") continue;
      const number = answer.results[index]?.number;
      const value = change.kind === "set" ? change.value : number?.toString();
      const isThere = this.#durable.has(change.key, value, version);
      assert.ok(isThere, `V1: ${call} is acknowledged with version ${version}, and not durable`);
    }
  }

  /** Whoever is told by a SYNC answer what stands, and that it changed nothing: what he was told of is durable. */
  #requireStanding(call: WriteCall, { applied, unmet }: Answer, floor: number): void {
    const { changes, demands } = call.ask;
    const told = applied ? changes : unmet.flatMap(({ index }) => demands[index] ?? []);
    for (const { key } of told) this.#requireNewest(call, key, floor);
  }

  /** What was written to a key last, before a call was made, is durable. */
  #requireNewest(call: WriteCall, key: string, floor: number): void {
    for (let order = call.order - 1; order >= 0; order -= 1) {
      const { ask, fate, answer } = this.calls[order] as WriteCall;
      const index = ask.changes.findIndex((change) => change.key === key);
      if (index === -1 || fate === "refused" || answer?.isRepeat === true) continue;
      if (fate !== "answered") return;
      const version = writtenBy(answer, index);
      if (version === 0) continue;
      const change = ask.changes[index] as Change;
      // What a compaction has taken meanwhile may be gone; and a touch does not say what it wrote.
      if (version <= floor || change.kind === "touch") return;
      const number = answer?.results[index]?.number;
      const value = change.kind === "set" ? change.value : number?.toString();
      const isThere = this.#durable.has(key, value, version);
      assert.ok(
        isThere,
        `V14: ${call} tells of version ${version} of ${key}, which is not durable`,
      );
      return;
    }
  }

  /** What is seen before it is acknowledged is durable already, if it asked to be. */
  #requireVisible({ what }: Look, key: string, { value, version }: Seen): void {
    const call = this.#byValue.get(value);
    if (call === undefined || call.fate !== "open" || call.ask.durability !== "sync") return;
    const isOfCall = call.ask.changes.some((change) => change.key === key);
    assert.ok(isOfCall, `${what}: ${key} has the value of ${call}`);
    this.durableUpTo(call.order + 1);
    const isThere = this.#durable.has(key, value, version);
    assert.ok(isThere, `V14: ${what} sees version ${version} of ${call}, which is not durable`);
  }

  /** Calls that were never answered. */
  #openCalls(): readonly WriteCall[] {
    return this.calls.filter(({ fate, order }) => order >= this.#settled || fate === "unknown");
  }

  #wait(judge: Waiting["judge"]): void {
    this.#waiting.push({ judge, calls: this.calls.length });
    this.#judgeReads();
  }

  #judgeReads(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined || next.calls > this.#settled) return;
      this.#waiting.shift();
      next.judge(false);
    }
  }
}
