/** Everything that is held against a history, and how much there was of it. */
import { checkKey } from "./checker.js";
import { byKey, type Operation } from "./history.js";
import { overlapOf } from "./overlap.js";
import { partLines, shrink } from "./shrink.js";
import { versionFaults } from "./version-order.js";

/** What a history came to. */
export interface Judgement {
  readonly counts: Readonly<Record<string, number>>;
  readonly findings: readonly string[];
}

/** A history in which an operation overlaps fewer others on its key, in the mean, is slack. */
export const overlapMin = 3;

/** Checks each key for linearizability, and what holds between keys. */
export function judge(operations: readonly Operation[]): Judgement {
  const findings: string[] = [];
  let positions = 0;
  let keysGivenUp = 0;
  const keys = byKey(operations);
  for (const [key, ofKey] of keys) {
    const verdict = checkKey(ofKey);
    positions += verdict.positions;
    if (verdict.kind === "given-up") keysGivenUp += 1;
    if (verdict.kind !== "not-linearizable") continue;
    const lines = partLines(shrink(ofKey));
    findings.push([`key ${key} is not linearizable:`, ...lines].join("\n"));
  }
  findings.push(...versionFaults(operations));
  const unknownWrites = operations.filter(({ answer }) => answer === undefined).length;
  const unmetConditions = operations.filter(({ answer }) => answer?.applied === false).length;
  const reads = operations.filter(({ kind }) => kind === "get").length;
  const overlap = overlapOf(operations);
  const isSlack = overlap.overlapsOnKey < overlapMin * operations.length;
  const sizes = { operations: operations.length, reads, unknownWrites, unmetConditions };
  const checked = { keys: keys.size, keysGivenUp, positions, slackHistories: isSlack ? 1 : 0 };
  return { counts: { ...sizes, ...overlap, ...checked }, findings };
}
