/**
 * Which blocks of kvix's code have run, as V8 counts them in the thread that asks.
 *
 * To be begun before the code is loaded: what was compiled earlier is counted by
 * whole functions only. While it counts, code is not optimised; so it has a
 * thread to itself.
 */
import { type Profiler, Session } from "node:inspector";

/** Scripts that count: those of kvix, not of tests, libraries and Node. */
const COUNTED = /\/dist\/src\//;

/** Counts blocks. */
export class BlockCoverage {
  readonly #session = new Session();
  /** By function: which of its characters belong to a block that has run. */
  #covered = new Map<string, Uint8Array>();

  constructor() {
    this.#session.connect();
    this.#post("Profiler.enable");
    this.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Whether what ran since the last call ran where nothing had run before; takes note of it. */
  take(): boolean {
    const { result } = this.#post(
      "Profiler.takePreciseCoverage",
    ) as Profiler.TakePreciseCoverageReturnType;
    let isNew = false;
    for (const { url, functions } of result) {
      if (!COUNTED.test(url)) continue;
      for (const { ranges } of functions) {
        if (this.#take(url, ranges)) isNew = true;
      }
    }
    return isNew;
  }

  /** A function counts by itself: the one around it says nothing of what is in it. */
  #take(url: string, ranges: readonly Profiler.CoverageRange[]): boolean {
    const [whole] = ranges;
    // What runs when a module is loaded is one function from the first character.
    if (whole === undefined || whole.count === 0 || whole.startOffset === 0) return false;
    const name = `${url}:${whole.startOffset}`;
    let seen = this.#covered.get(name);
    if (seen === undefined) {
      seen = new Uint8Array(whole.endOffset - whole.startOffset);
      this.#covered.set(name, seen);
    }
    return markRan(ranges, whole.startOffset, seen);
  }

  /** What has run so far. */
  copy(): ReadonlyMap<string, Uint8Array> {
    return new Map(Array.from(this.#covered, ([url, seen]) => [url, seen.slice()]));
  }

  /** Forgets what has run since `copy` was called. */
  restore(before: ReadonlyMap<string, Uint8Array>): void {
    this.#covered = new Map(before);
  }

  #post(method: string, parameters?: object): unknown {
    let answer: unknown;
    let failure: Error | null = null;
    // Answered before it returns: the inspector of a thread itself is not asynchronous.
    this.#session.post(method, parameters, (error, result) => {
      failure = error;
      answer = result;
    });
    if (failure !== null) throw failure;
    return answer;
  }
}

/** Ranges come outermost first, and an inner one says what its outer one does not mean. */
function markRan(
  ranges: readonly Profiler.CoverageRange[],
  start: number,
  seen: Uint8Array,
): boolean {
  const ran = new Uint8Array(seen.length);
  for (const { startOffset, endOffset, count } of ranges) {
    ran.fill(count > 0 ? 1 : 0, startOffset - start, endOffset - start);
  }
  let isNew = false;
  for (let at = 0; at < ran.length; at += 1) {
    if (ran[at] === 0 || seen[at] === 1) continue;
    seen[at] = 1;
    isNew = true;
  }
  return isNew;
}
