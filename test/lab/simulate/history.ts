/**
 * All that clients of one life asked and were told, and the judge of it while it goes
 * on. What is held against what:
 *
 *     a write    the writes before it, in the order of the calls (write-model.ts)
 *     a read     the state at the version that was published when it looked: exactly
 *                that, for every key it covers; and that version is neither older than
 *                what was acknowledged or seen before, nor does it go back
 *     a SYNC     the durable bytes of the disk, at the moment of its answer, or when
 *                somebody sees it earlier
 *
 * A read waits for its verdict until the fate of every call made before its answer is
 * known.
 */
import { strict as assert } from "node:assert";
import { type Answer, type Ask, type Seen, unreadable, WriteCall } from "./call.js";
import type { DurableView } from "./durable-view.js";
import { isOf, type KeyStates } from "./key-states.js";
import type { WallLog } from "./wall-log.js";
import { shown, WriteModel } from "./write-model.js";

/** What a read found of a key; undefined: nothing. */
export type Found = Seen | typeof unreadable | undefined;

/** What a read saw. */
export interface Look {
  /** For a finding. */
  readonly what: string;
  /** What it shows was published by this version, and nothing newer. */
  readonly version: number;
  /** Moments of the wall clock in which it looked. */
  readonly from: number;
  readonly to: number;
  /** Which keys it tells of. */
  readonly covers: (key: string) => boolean;
  readonly found: ReadonlyMap<string, Found>;
  /** It tells only whether there are records, with their versions. */
  readonly isWithoutValues?: boolean;
}

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
  readonly #durable: Pick<DurableView, "has">;
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
    durable: Pick<DurableView, "has">,
    lastVersion: number,
  ) {
    this.states = states;
    this.#wall = wall;
    this.#durable = durable;
    this.model = new WriteModel(states, wall, lastVersion);
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
      if (change.kind === "set") this.#byValue.set(change.value, call);
    }
    return call;
  }

  answered(call: WriteCall, answer: Answer): void {
    const newest = Math.max(...answer.versions);
    if (newest > 0) {
      assert.ok(!this.#isInDoubt, `V10: ${call} is acknowledged after a failed sync`);
      if (call.ask.durability === "sync") this.#requireDurable(call, answer);
    }
    this.#versionSeen = Math.max(this.#versionSeen, newest);
    call.answer = answer;
    this.#settle(call, "answered");
  }

  /** A call has failed; `isUnknown`: nobody knows whether it was applied. */
  failed(call: WriteCall, isUnknown: boolean): void {
    if (isUnknown) this.#isInDoubt = true;
    this.#settle(call, isUnknown ? "unknown" : "refused");
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
    this.#wait((isOver) => this.#judge(look, isOver));
  }

  /** Who read the log from one version to another was told these. */
  toldAll(after: number, upTo: number, told: ReadonlySet<number>): void {
    this.#wait(() => {
      for (const { answer } of this.calls.slice(0, this.#settled)) {
        for (const version of answer?.versions ?? []) {
          const isMissing = version > after && version <= upTo && !told.has(version);
          assert.ok(!isMissing, `log: version ${version} of ${after}..${upTo} is not told`);
        }
      }
    });
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
    for (const { judge } of this.#waiting.splice(0)) judge(true);
  }

  #settle(call: WriteCall, fate: WriteCall["fate"]): void {
    call.fate = fate;
    call.to = this.#wall.now;
    for (;;) {
      const next = this.calls[this.#settled];
      if (next === undefined || next.fate === "open") break;
      if (next.fate === "answered") this.#apply(next);
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
    if (ask.durability !== "sync") return;
    // What changed nothing tells of what stands, and that is durable by then.
    if (answer?.versions.some((version) => version > 0) === true) this.durableUpTo(call.order + 1);
    else if (isThere === "no") this.durableUpTo(call.order);
    else if (isThere === "yes" && standing?.call !== undefined) {
      this.durableUpTo(standing.call.order + 1);
    }
  }

  #requireDurable(call: WriteCall, { versions, previous }: Answer): void {
    this.durableUpTo(call.order + 1);
    // An answer that waited for a record to be read may come after the next compaction.
    if (call.ask.returnPrevious === true && previous !== undefined) return;
    for (const [index, change] of call.ask.changes.entries()) {
      const version = versions[index] ?? 0;
      if (version === 0 || change.kind === "touch") continue;
      const value = change.kind === "set" ? change.value : undefined;
      const isThere = this.#durable.has(change.key, value, version);
      assert.ok(isThere, `V1: ${call} is acknowledged with version ${version}, and not durable`);
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

  #judge(look: Look, isOver: boolean): void {
    this.judged += 1;
    for (const key of look.found.keys()) this.#judgeKey(look, key, isOver);
    for (const key of this.states.keys) {
      if (look.covers(key) && !look.found.has(key)) this.#judgeKey(look, key, isOver);
    }
  }

  #judgeKey(look: Look, key: string, isOver: boolean): void {
    const { what, version, from, to, found, isWithoutValues } = look;
    const told = found.get(key);
    const entry = this.states.at(key, version);
    if (told === unreadable) {
      assert.ok(entry?.isDamaged, `${what}: ${key} is sound, and is called damaged`);
      return;
    }
    const isSeen = this.states.visibility(entry, from, to);
    const isRight =
      told === undefined
        ? isSeen !== "yes"
        : isSeen !== "no" &&
          entry !== undefined &&
          (isWithoutValues ? entry.version === told.version : isOf(entry, told));
    if (isRight || (isOver && this.#mayBeOpen(key, told))) return;
    assert.fail(
      `${what} at version ${version}: ${key} is ${shown(told)}, it must be ${shown(entry)} (${isSeen})`,
    );
  }

  /** Whether a call that was never answered can have done that. */
  #mayBeOpen(key: string, told: Seen | undefined): boolean {
    return this.calls.some(({ fate, ask }, order) => {
      if (order < this.#settled && fate !== "unknown") return false;
      return ask.changes.some((change) => {
        if (change.key !== key) return false;
        if (change.kind === "set") return change.value === told?.value;
        return change.kind === "touch" || told === undefined;
      });
    });
  }
}
