/**
 * What a store may be after a crash, told from the calls that were made.
 *
 * Writes are accepted in the order of the calls, so the log is a prefix of
 * them: after any crash the store must equal the model after some prefix that
 * reaches at least as far as the last write acknowledged as durable. That one
 * sentence holds V1, V2, D1, D4, B1, B3 and V15's order at once. Writes that
 * were rejected as not applied belong to no prefix.
 */
import { strict as assert } from "node:assert";

/** A record as the oracle sees it; undefined: absent. */
export interface OracleRecord {
  readonly value: string;
  readonly expiresAtMs: number;
}

/** The visible and the expired records of a store. */
export type OracleState = Map<string, OracleRecord>;

/** What is known of a write that was asked for. */
type Fate = "open" | "acknowledged" | "not-applied" | "unknown";

interface OracleWrite {
  readonly apply: (state: OracleState) => void;
  fate: Fate;
  isDurable: boolean;
}

/** A handle on one write. */
export type WriteTicket = number;

/** Remembers writes and judges what was recovered. */
export class DurabilityOracle {
  readonly #writes: OracleWrite[] = [];
  #versionSeen = 0;
  readonly #versions = new Set<number>();

  /** What is known now, to be told no more of what comes. */
  clone(): DurabilityOracle {
    return this.#first(this.#writes.length, (write) => write.isDurable);
  }

  get writes(): number {
    return this.#writes.length;
  }

  /** A write is asked for. */
  ask(apply: (state: OracleState) => void): WriteTicket {
    this.#writes.push({ apply, fate: "open", isDurable: false });
    return this.#writes.length - 1;
  }

  /** It was acknowledged; `versions` are those it was given. */
  acknowledge(ticket: WriteTicket, isDurable: boolean, versions: readonly number[]): void {
    const write = this.#writes[ticket] as OracleWrite;
    write.fate = "acknowledged";
    write.isDurable = isDurable;
    for (const version of versions) {
      if (version === 0) continue;
      assert.ok(!this.#versions.has(version), `V15: version ${version} was given twice`);
      this.#versions.add(version);
      this.#versionSeen = Math.max(this.#versionSeen, version);
    }
  }

  /** It failed. */
  reject(ticket: WriteTicket, outcome: "not-applied" | "unknown"): void {
    (this.#writes[ticket] as OracleWrite).fate = outcome;
  }

  /** Everything acknowledged so far is durable. */
  allDurable(): void {
    for (const write of this.#writes) if (write.fate === "acknowledged") write.isDurable = true;
  }

  /** The newest version anyone was told of. */
  get versionSeen(): number {
    return this.#versionSeen;
  }

  /** The state after all writes that are not known to have failed. */
  latest(): OracleState {
    const state: OracleState = new Map();
    for (const write of this.#writes) if (write.fate !== "not-applied") write.apply(state);
    return state;
  }

  /**
   * Asserts that `recovered` is a state the store may be in, and makes that
   * prefix the whole of history: what came after it is gone for good.
   */
  judge(recovered: OracleState, nowMs: number, where: string): DurabilityOracle {
    const lastDurable = this.#writes.findLastIndex((write) => write.isDurable);
    const last = this.#findPrefix(recovered, lastDurable, nowMs, where);
    return this.#first(last + 1, (write) => write.fate !== "not-applied");
  }

  /**
   * Asserts that what a running store shows, while nothing is under way, has every
   * acknowledged write in it, durable or not.
   */
  requireShown(state: OracleState, nowMs: number, where: string): void {
    const last = this.#writes.findLastIndex((write) => write.fate === "acknowledged");
    this.#findPrefix(state, last, nowMs, where);
  }

  /** The states after each prefix that reaches as far as write `first`, without what failed. */
  *states(first = this.#writes.findLastIndex((write) => write.isDurable)): Generator<OracleState> {
    const state: OracleState = new Map();
    for (let index = -1; index < this.#writes.length; index += 1) {
      const write = this.#writes[index];
      if (write !== undefined && write.fate !== "not-applied") write.apply(state);
      if (index >= first) yield state;
    }
  }

  /** The last write of a prefix that reaches to `first` and makes `found`. */
  #findPrefix(found: OracleState, first: number, nowMs: number, where: string): number {
    const wanted = shown(found, nowMs);
    let nearest: string | undefined;
    let index = first;
    for (const state of this.states(first)) {
      const here = shown(state, nowMs);
      if (here === wanted) return index;
      nearest ??= here;
      index += 1;
    }
    assert.fail(
      `${where}: the state is none that the store may be in\n` +
        `found: ${wanted}\nafter write ${first} of ${this.#writes.length}: ${nearest}`,
    );
  }

  /** A copy that knows the first `count` writes. */
  #first(count: number, isDurable: (write: OracleWrite) => boolean): DurabilityOracle {
    const next = new DurabilityOracle();
    for (const write of this.#writes.slice(0, count)) {
      next.#writes.push({ ...write, isDurable: isDurable(write) });
    }
    next.#versionSeen = this.#versionSeen;
    for (const version of this.#versions) next.#versions.add(version);
    return next;
  }
}

/** A state as text, without what is invisible at `nowMs`. */
function shown(state: OracleState, nowMs: number): string {
  const lines: string[] = [];
  for (const [key, { value, expiresAtMs }] of state) {
    if (expiresAtMs !== 0 && nowMs >= expiresAtMs) continue;
    lines.push(`${key}=${value}@${expiresAtMs}`);
  }
  return lines.sort().join(" ");
}
