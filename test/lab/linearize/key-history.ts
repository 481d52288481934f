/**
 * The history of one key made ready for the search, by what holds in every
 * linearization of it:
 *
 *  - A write of unknown outcome whose value some answer shows has happened, with the
 *    version shown, and before the first such answer came. It must be linearized.
 *  - The others of unknown outcome may be. Nobody was shown their values, so those that
 *    do the same under the same condition are alike: whatever one explains, the one that
 *    was called first explains too. They are pools, to be taken from in order of call.
 *  - Versions rise on a key, so of the writes with a known version the lowest that is
 *    left comes before the others, and a version that is gone does not come back: while
 *    somebody has yet to meet the one that stands, nothing is written over it.
 */
import type { Operation } from "./history.js";

/** An operation that must be linearized. */
export interface Must {
  readonly operation: Operation;
  /** The version that it gave its key; 0: none. */
  readonly version: number;
  /** It took effect before this place. */
  readonly before: number;
  /** Which it is among those with a version, from the lowest; -1: it has none. */
  readonly rank: number;
  /** The version that must stand when it takes effect; 0: none, or it is not known. */
  readonly meets: number;
}

type Unranked = Omit<Must, "rank">;

/** Operations that may be linearized, all alike, in the order of their calls. */
export type Pool = readonly Operation[];

/** A history that can be searched. */
export interface KeyHistory {
  /** In the order of their calls. */
  readonly musts: readonly Must[];
  readonly pools: readonly Pool[];
}

/** Makes the history of one key ready. */
export function prepare(operations: readonly Operation[]): KeyHistory {
  const seen = firstShowings(operations);
  const musts: Unranked[] = [];
  const pools = new Map<string, Operation[]>();
  for (const operation of [...operations].sort((one, other) => one.calledAt - other.calledAt)) {
    const { answer, value, endedAt } = operation;
    const showing = answer === undefined && value !== undefined ? seen.get(value) : undefined;
    const meets = metVersion(operation);
    if (answer !== undefined) {
      musts.push({ operation, version: answer.version, before: endedAt, meets });
    } else if (showing !== undefined) musts.push({ operation, ...showing, meets });
    else if (operation.kind !== "get") {
      const name = poolName(operation);
      pools.set(name, [...(pools.get(name) ?? []), operation]);
    }
  }
  return { musts: ranked(musts), pools: [...pools.values()] };
}

/** For each value that is shown: its version, and the place by which it had been written. */
function firstShowings(
  operations: readonly Operation[],
): Map<string, Pick<Must, "version" | "before">> {
  const seen = new Map<string, Pick<Must, "version" | "before">>();
  for (const { answer, endedAt } of operations) {
    if (answer?.shown == null) continue;
    const { value, version } = answer.shown;
    // Half a place before: it came before the operation that showed it.
    const before = Math.min(endedAt - 0.5, seen.get(value)?.before ?? Number.POSITIVE_INFINITY);
    seen.set(value, { version, before });
  }
  return seen;
}

function metVersion({ condition, answer }: Operation): number {
  if (answer?.shown != null) return answer.shown.version;
  const isMet = answer === undefined || answer.applied;
  return isMet && condition?.kind === "version" ? condition.version : 0;
}

function poolName({ kind, condition }: Operation): string {
  const version = condition?.kind === "version" ? condition.version : "";
  return `${kind} ${condition?.kind ?? ""} ${version}`;
}

function ranked(musts: readonly Unranked[]): Must[] {
  const versions = musts.map(({ version }) => version).filter((version) => version > 0);
  const ranks = new Map(versions.sort((one, other) => one - other).map((each, at) => [each, at]));
  return musts.map((must) => ({ ...must, rank: ranks.get(must.version) ?? -1 }));
}
