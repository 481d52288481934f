/**
 * The part of a history that cannot be linearized, made as small as it can be made
 * without saying more than the whole says: if the whole could be linearized, so could
 * what is left.
 *
 *  1. The end: what was called later goes, and what ended later has no outcome yet. A
 *     history that can be linearized can be so up to any of its places.
 *  2. The beginning: from one acknowledged set on. All that has a higher version comes
 *     after it, and so does what shows its version or a higher one, or was called when it
 *     had ended; the rest goes.
 *  3. Reads that change nothing: in any order, what is left without them is allowed.
 */
import { checkKey } from "./checker.js";
import { type Operation, operationLine } from "./history.js";

/** Positions that one trial may take. */
const trialPositionsMax = 200_000;
/** Beginnings that are tried. */
const beginningsMax = 60;
/** Reads that are tried to be left out. */
const readsMax = 200;
/** Lines of a part that are told. */
const linesMax = 60;

function isBad(operations: readonly Operation[]): boolean {
  return checkKey(operations, { positionsMax: trialPositionsMax }).kind === "not-linearizable";
}

/** A smallest part of `operations` found that cannot be linearized; they cannot. */
export function shrink(operations: readonly Operation[]): readonly Operation[] {
  const head = withoutEnd(operations);
  const middle = withoutBeginning(head);
  return withoutReads(middle);
}

/** The history up to a place. */
function until(operations: readonly Operation[], place: number): Operation[] {
  return operations
    .filter(({ calledAt }) => calledAt <= place)
    .map((each) => (each.endedAt <= place ? each : { ...each, answer: undefined }))
    .filter(({ kind, answer }) => kind !== "get" || answer !== undefined);
}

function withoutEnd(operations: readonly Operation[]): readonly Operation[] {
  const ends = operations.map(({ endedAt }) => endedAt).sort((one, other) => one - other);
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBad(until(operations, ends[middle] as number))) high = middle;
    else low = middle + 1;
  }
  const head = until(operations, ends[high] ?? 0);
  return isBad(head) ? head : operations;
}

function withoutBeginning(operations: readonly Operation[]): readonly Operation[] {
  const sets = operations.filter(
    ({ kind, answer }) => kind === "set" && (answer?.version ?? 0) > 0,
  );
  sort(sets);
  for (const first of sets.slice(-beginningsMax).reverse()) {
    const part = from(operations, first);
    if (isBad(part)) return part;
  }
  return operations;
}

/** By version, the lowest first. */
function sort(sets: Operation[]): void {
  sets.sort((one, other) => (one.answer?.version ?? 0) - (other.answer?.version ?? 0));
}

/** The set `first`, whatever it wrote over, and what certainly comes after it. */
function from(operations: readonly Operation[], first: Operation): Operation[] {
  const { version = 0, storeVersion = 0 } = first.answer ?? {};
  const answer = { applied: true, version, shown: undefined, storeVersion };
  const rest = operations.filter((each) => each !== first && isAfter(each, first, version));
  return [{ ...first, condition: undefined, answer }, ...rest];
}

function isAfter(operation: Operation, first: Operation, version: number): boolean {
  const { answer, calledAt } = operation;
  if (answer === undefined || calledAt > first.endedAt || answer.version > version) return true;
  return answer.version === 0 && answer.shown != null && answer.shown.version >= version;
}

function withoutReads(operations: readonly Operation[]): readonly Operation[] {
  let part = operations;
  let tried = 0;
  for (const each of operations) {
    const isRead = each.answer !== undefined && each.answer.version === 0;
    if (!isRead || tried >= readsMax) continue;
    tried += 1;
    const rest = part.filter((other) => other !== each);
    if (isBad(rest)) part = rest;
  }
  return part;
}

/**
 * The part as lines, in order of call. Writes of unknown outcome whose values nobody was
 * shown are only counted: the checker tried them all.
 */
export function partLines(part: readonly Operation[]): string[] {
  const shown = new Set(part.map(({ answer }) => answer?.shown?.value));
  const told = part.filter(({ answer, value }) => {
    return answer !== undefined || (value !== undefined && shown.has(value));
  });
  const lines = told.sort((one, other) => one.calledAt - other.calledAt).map(operationLine);
  const cut = lines.length > linesMax ? [`... ${lines.length - linesMax} more`] : [];
  const unseen = part.length - told.length;
  const note = `and ${unseen} writes of unknown outcome, none of which explains it`;
  return [...lines.slice(0, linesMax), ...cut, ...(unseen === 0 ? [] : [note])];
}
