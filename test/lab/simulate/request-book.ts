/**
 * Which requests the store must know by their ids, and what it must answer repeats of
 * them.
 *
 *     applied -> sure -> a power cut takes what was not durable -> perhaps
 *     open when its life ended -> perhaps
 *     perhaps -> repeated: sure | applied anew: that one is sure
 *
 * A sure one must be known as long as its segment is part of the store and it is not
 * older than ten minutes; and in the life in which it was made, as long as it lies inside
 * the retention window, whatever becomes of the wall clock. One that the recovered state shows the effect of is sure: if it
 * were applied anew, it would be applied twice.
 */
import { strict as assert } from "node:assert";
import { isDeepStrictEqual } from "node:util";
import type { ChangeResult, Heard, RequestName, WriteCall } from "./call.js";
import type { KeyStates } from "./key-states.js";

/** Requests are remembered at least so long, if no compaction takes their segment. */
const keptMs = 600_000;

/** What may be known by an id. */
interface First {
  readonly digest: string;
  /** Undefined: its answer was never heard. */
  readonly results: readonly ChangeResult[] | undefined;
  /** Its frame has a version above this one. */
  readonly above: number;
  readonly sinceMs: number;
  /** Of the life that goes on; -1: of one before. */
  readonly order: number;
  readonly call: WriteCall;
}

interface Known {
  readonly firsts: readonly First[];
  readonly isSure: boolean;
}

/** What is known of a life when it is over. */
export interface Aftermath {
  readonly calls: readonly WriteCall[];
  /** Calls before this one were judged while it went on. */
  readonly settled: number;
  /** All calls up to this one have survived. */
  readonly survivedUpTo: number;
  /** The newest version that was given out. */
  readonly lastVersion: number;
  /** Of the opening after it. */
  readonly heard: Heard;
  /** What the next life begins with. */
  readonly states: KeyStates;
}

/** The requests of one seed. */
export class RequestBook {
  readonly #byId = new Map<string, Known>();
  /** Bytes were damaged on the disk, the head of a batch perhaps. */
  mayForget = false;
  repeats = 0;

  /** It was evaluated, as one that is not known; `lastVersion`: of the call before. */
  evaluated(call: WriteCall, lastVersion: number): void {
    const { request } = call.ask;
    if (request === undefined) return;
    const known = this.#byId.get(request.id);
    const isForgotten = this.#isCertain(known, call.heard);
    assert.ok(!isForgotten, `R7: ${call} is forgotten, and made anew`);
    if (call.answer?.applied !== true) return;
    this.#byId.set(request.id, { firsts: [firstOf(call, request, lastVersion)], isSure: true });
  }

  /** It was answered as a repeat. */
  repeated(call: WriteCall, states: KeyStates): void {
    const { request } = call.ask;
    assert.ok(request, `${call} has no id, and is answered as a repeat`);
    const firsts = this.#byId.get(request.id)?.firsts ?? [];
    const same = firsts.filter(({ digest }) => digest === request.digest);
    const [one] = same;
    assert.ok(one, `R7: ${call} was never made before, and is answered as a repeat`);
    const { results = [] } = call.answer ?? {};
    const first =
      same.find((each) => each.results !== undefined && isDeepStrictEqual(each.results, results)) ??
      same.find((each) => each.results === undefined);
    if (first === undefined) {
      assert.deepEqual(results, one.results, `R7: ${call} is answered otherwise than the first`);
      return;
    }
    if (first.results === undefined) requireEffect(call, results, states);
    this.repeats += 1;
    this.#byId.set(request.id, { firsts: [{ ...first, results }], isSure: true });
  }

  /** It was refused, because another has its id. */
  refused(call: WriteCall): void {
    const { request } = call.ask;
    assert.ok(request, `${call} has no id, and is refused for it`);
    const known = this.#byId.get(request.id);
    const others = known?.firsts.filter(({ digest }) => digest !== request.digest) ?? [];
    assert.ok(others.length > 0, `R7: no other request bore the id of ${call}`);
    this.#byId.set(request.id, { firsts: others, isSure: others.length === 1 });
  }

  /** A life is over, and the next one begins. */
  survive(aftermath: Aftermath): void {
    const { calls, settled: settledUpTo, survivedUpTo, states } = aftermath;
    for (const [id, { firsts, isSure }] of this.#byId) {
      const settled = firsts.map((first) => ({ ...first, order: -1 }));
      const hasLasted = firsts.every(({ order, call }) => {
        return order <= survivedUpTo || hasEffect(call, states);
      });
      this.#byId.set(id, { firsts: settled, isSure: isSure && hasLasted });
    }
    for (const call of calls) {
      const { fate, order, answer } = call;
      const isUnheard = fate === "open" || fate === "unknown";
      const isUnjudged = order >= settledUpTo && answer?.applied === true && !answer.isRepeat;
      if (isUnheard || isUnjudged) this.#suppose(call, aftermath);
    }
  }

  /** A call may have been made, or was. */
  #suppose(call: WriteCall, aftermath: Aftermath): void {
    const { request } = call.ask;
    if (request === undefined) return;
    const known = this.#byId.get(request.id);
    const { survivedUpTo, lastVersion: above, heard, states } = aftermath;
    const sinceMs = heard.monotonicMs;
    const results = call.answer?.results;
    const first = { digest: request.digest, results, above, sinceMs, order: -1, call };
    const hasLasted = results !== undefined && call.order <= survivedUpTo;
    // A repeat has the values of the first: what stands may be the first's, of which the
    // store may have let go since.
    const isRepeat = known?.firsts.some(({ digest }) => digest === request.digest) === true;
    const isSure = hasLasted || (!isRepeat && hasEffect(call, states));
    if (isSure) this.#byId.set(request.id, { firsts: [first], isSure });
    else if (!this.#isCertain(known, heard)) {
      this.#byId.set(request.id, { firsts: [...(known?.firsts ?? []), first], isSure });
    }
  }

  /** Whether the store must know it, as things are. */
  #isCertain(known: Known | undefined, heard: Heard | undefined): boolean {
    const [first] = known?.firsts ?? [];
    if (known?.isSure !== true || first === undefined) return false;
    if (this.mayForget || heard === undefined) return false;
    const ageMs = heard.monotonicMs - first.sinceMs;
    if (first.order !== -1 && ageMs < heard.windowMs) return true;
    return first.above >= heard.floor && ageMs < keptMs;
  }
}

function firstOf(call: WriteCall, { digest }: RequestName, lastVersion: number): First {
  const { order, answer, heard } = call;
  const sinceMs = heard?.monotonicMs ?? 0;
  return { digest, results: answer?.results, above: lastVersion, sinceMs, order, call };
}

/** Whether a value that this call alone has written stands under its key. */
function hasEffect({ ask }: WriteCall, states: KeyStates): boolean {
  return ask.changes.some((change) => {
    return change.kind === "set" && states.newest(change.key)?.value === change.value;
  });
}

/** What a repeat says that the first one wrote must be there, or something newer. */
function requireEffect(call: WriteCall, results: readonly ChangeResult[], states: KeyStates): void {
  for (const [index, change] of call.ask.changes.entries()) {
    const version = results[index]?.version ?? 0;
    const entry = states.newest(change.key);
    if (version === 0 || change.kind !== "set" || entry === undefined) continue;
    const isThere = entry.version > version || entry.value === change.value;
    assert.ok(
      isThere,
      `B1: ${call} is answered as made, and its change of ${change.key} is not there`,
    );
  }
}
