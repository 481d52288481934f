/**
 * What the traced program tells of its life, a line of JSON for each thing:
 *
 *     {"at":"ask","n":3,"what":...}   before the call
 *     {"at":"ack","n":3,...}          its answer; or "reject"
 *
 * Each line is one write(2) of its own, so a trace tells what had been told, and
 * one that dies in the middle of a line has told nothing. Whoever reads the lines knows all
 * that a client of the store could know; `oracleOf` is that knowledge.
 */
import { strict as assert } from "node:assert";
import { DurabilityOracle, type OracleState } from "../../support/durability-oracle.js";
import type { BatchStep } from "./life.js";

/** A write as it was asked for. Expiries are Unix ms, 0: never. */
export type Asked =
  | {
      readonly kind: "set";
      readonly key: string;
      readonly value: string;
      readonly expiresAtMs: number;
    }
  | { readonly kind: "delete"; readonly key: string }
  | {
      readonly kind: "touch";
      readonly key: string;
      readonly expiresAtMs: number;
      readonly nowMs: number;
    }
  | { readonly kind: "batch"; readonly steps: readonly BatchStep[] };

/** One line. */
export type Line =
  | { readonly at: "ready"; readonly mainThread: number; readonly poolThread: number }
  | { readonly at: "opened" | "synced" | "closing" | "closed" | "end" | "gave-up" }
  | { readonly at: "ask"; readonly n: number; readonly what: Asked }
  | {
      readonly at: "ack";
      readonly n: number;
      readonly isDurable: boolean;
      readonly versions: readonly number[];
    }
  | { readonly at: "reject"; readonly n: number; readonly reason: string; readonly outcome: string }
  | {
      readonly at: "refused";
      readonly what: "open" | "close" | "sync" | "read";
      readonly reason: string;
    }
  | { readonly at: "compacted"; readonly outcome: string; readonly why: string }
  /** Every record that is visible, and the version that the store says it has. */
  | {
      readonly at: "state";
      readonly nowMs: number;
      readonly version: number;
      readonly records: readonly ToldRecord[];
    };

type StateLine = Extract<Line, { at: "state" }>;

/** Key, value, expiry. */
export type ToldRecord = readonly [string, string, number];

/** The lines of a program's output; one that is not whole was never told. */
export function linesOf(output: string): Line[] {
  return output
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

/** What a write does to the state. */
export function applying(what: Asked): (state: OracleState) => void {
  switch (what.kind) {
    case "set":
      return (state) =>
        void state.set(what.key, { value: what.value, expiresAtMs: what.expiresAtMs });
    case "delete":
      return (state) => void state.delete(what.key);
    case "touch":
      return (state) => {
        const standing = state.get(what.key);
        if (standing === undefined) return;
        if (standing.expiresAtMs !== 0 && what.nowMs >= standing.expiresAtMs) return;
        state.set(what.key, { value: standing.value, expiresAtMs: what.expiresAtMs });
      };
    case "batch":
      return (state) => {
        for (const { key, value } of what.steps) {
          if (value === undefined) state.delete(key);
          else state.set(key, { value, expiresAtMs: 0 });
        }
      };
  }
}

/** Takes lines one after the other, and holds what follows from them. */
export class Listener {
  oracle = new DurabilityOracle();
  readonly #tickets = new Map<number, number>();
  #hasJustOpened = false;
  /** Whether a write of this session came back with a failed sync. */
  #isLatched = false;
  acknowledged = 0;
  rejected = 0;

  /** Throws where the program was told what it must not be told. */
  hear(line: Line): void {
    switch (line.at) {
      case "opened":
        this.#isLatched = false;
        this.#hasJustOpened = true;
        return;
      case "state":
        // What an opening has found is durable, and what it has not found is gone.
        if (this.#hasJustOpened) this.oracle = this.#judge(line, "opened again");
        this.#hasJustOpened = false;
        return;
      case "ask":
        this.#tickets.set(line.n, this.oracle.ask(applying(line.what)));
        return;
      case "ack": {
        this.acknowledged += 1;
        const appended = line.versions.some((version) => version > 0);
        assert.ok(!(this.#isLatched && appended), "V10: acknowledged after a failed sync");
        this.oracle.acknowledge(this.#ticket(line.n), line.isDurable, line.versions);
        return;
      }
      case "reject":
        this.rejected += 1;
        if (line.reason === "SYNC_FAILED" || line.reason === "STORE_READ_ONLY") {
          this.#isLatched = true;
        }
        this.oracle.reject(
          this.#ticket(line.n),
          line.outcome === "unknown" ? "unknown" : "not-applied",
        );
        return;
      case "synced":
      case "closed":
        this.oracle.allDurable();
        return;
      default:
        return;
    }
  }

  /** The oracle of what the store showed. */
  #judge({ records, nowMs, version }: StateLine, where: string): DurabilityOracle {
    assert.ok(version >= this.oracle.versionSeen, `${where}: the version went back`);
    return this.oracle.judge(stateOf(records), nowMs, where);
  }

  #ticket(n: number): number {
    const ticket = this.#tickets.get(n);
    assert.ok(ticket !== undefined, `write ${n} was never asked for`);
    return ticket;
  }
}

/** All that the lines say. */
export function oracleOf(lines: readonly Line[]): DurabilityOracle {
  const listener = new Listener();
  for (const line of lines) listener.hear(line);
  return listener.oracle;
}

/**
 * Holds what the program saw in its store, while it was open, against what it had been
 * told: everything acknowledged, whatever failed since.
 */
export function judgeTold(lines: readonly Line[]): void {
  for (const [index, line] of lines.entries()) {
    if (line.at !== "state") continue;
    const oracle = oracleOf(lines.slice(0, index));
    oracle.allDurable();
    oracle.judge(stateOf(line.records), line.nowMs, `line ${index}, in the open store`);
  }
}

/** Records as a state. */
export function stateOf(records: readonly ToldRecord[]): OracleState {
  return new Map(records.map(([key, value, expiresAtMs]) => [key, { value, expiresAtMs }]));
}
