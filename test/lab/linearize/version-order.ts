/**
 * What holds between keys: one counter gives every version, and what is published is
 * a prefix of their order. Over a whole history, in the order of its places:
 *
 *  1. A write that ended before another was called has the lower version (V5, V15).
 *  2. No version is given twice; a version shows one value, under one key (V15).
 *  3. The store's version never goes back, and an answer's is not below what the
 *     answer itself tells (V14).
 *  4. Who calls after anybody was told that the store is at version s reads no less
 *     than the newest write of its key up to s (V14).
 *
 * The first and the third are sharper than linearizability of each key: they hold
 * across keys, and across a restart.
 */
import { byKey, type Operation, operationLine } from "./history.js";

/** What breaks a rule: a sentence with the operations in it. At most `findingsMax`. */
export function versionFaults(operations: readonly Operation[], findingsMax = 5): string[] {
  return [
    ...orderFaults(operations),
    ...ownerFaults(operations),
    ...publicationFaults(operations),
  ].slice(0, findingsMax);
}

/** Visits calls and ends of what was answered, in order of place. */
function inOrder(
  operations: readonly Operation[],
  onCall: (operation: Operation) => void,
  onEnd: (operation: Operation) => void,
): void {
  const answered = operations.filter(({ answer }) => answer !== undefined);
  const events = answered.flatMap((operation) => [
    { place: operation.calledAt, operation, visit: onCall },
    { place: operation.endedAt, operation, visit: onEnd },
  ]);
  events.sort((one, other) => one.place - other.place);
  for (const { operation, visit } of events) visit(operation);
}

/** The highest of something so far, and who told it. */
interface Mark {
  readonly version: number;
  readonly by: Operation | undefined;
}

const noMark: Mark = { version: 0, by: undefined };

function orderFaults(operations: readonly Operation[]): string[] {
  const faults: string[] = [];
  let written = noMark;
  let published = noMark;
  const marks = new Map<Operation, { written: Mark; published: Mark }>();
  const onCall = (operation: Operation) => void marks.set(operation, { written, published });
  const onEnd = (operation: Operation) => {
    const { version = 0, storeVersion = 0, shown } = operation.answer ?? {};
    const at = marks.get(operation) as { written: Mark; published: Mark };
    if (version > 0 && version <= at.written.version) {
      faults.push(
        fault("a write has a version below one that was given before", at.written, operation),
      );
    }
    if (storeVersion > 0 && storeVersion < at.published.version) {
      faults.push(fault("the version of the store went back", at.published, operation));
    }
    if (storeVersion > 0 && storeVersion < Math.max(version, shown?.version ?? 0)) {
      faults.push(fault("an answer tells a version above that of the store", noMark, operation));
    }
    if (version > written.version) written = { version, by: operation };
    if (storeVersion > published.version) published = { version: storeVersion, by: operation };
  };
  inOrder(operations, onCall, onEnd);
  return faults;
}

function ownerFaults(operations: readonly Operation[]): string[] {
  const faults: string[] = [];
  const writers = new Map<number, Operation>();
  const records = new Map<number, { name: string; by: Operation }>();
  const show = (version: number, value: string, by: Operation) => {
    const name = `${by.key} ${value}`;
    const known = records.get(version) ?? { name, by };
    records.set(version, known);
    if (known.name !== name) {
      faults.push(fault("a version has two records", { version, by: known.by }, by));
    }
  };
  for (const operation of operations) {
    const { version = 0, shown } = operation.answer ?? {};
    if (shown != null) show(shown.version, shown.value, operation);
    if (version === 0) continue;
    if (operation.value !== undefined) show(version, operation.value, operation);
    const other = writers.get(version);
    writers.set(version, operation);
    if (other !== undefined) {
      faults.push(fault("a version was given twice", { version, by: other }, operation));
    }
  }
  return faults;
}

function publicationFaults(operations: readonly Operation[]): string[] {
  const faults: string[] = [];
  const writes = writesByKey(operations);
  let published = noMark;
  const marks = new Map<Operation, Mark>();
  inOrder(
    operations,
    (operation) => void marks.set(operation, published),
    (operation) => {
      const { shown, storeVersion = 0 } = operation.answer ?? {};
      const told = marks.get(operation) as Mark;
      const floor = newestUpTo(writes.get(operation.key) ?? [], told.version);
      if (shown != null && floor !== undefined && shown.version < versionOf(floor)) {
        const by = { version: versionOf(floor), by: floor };
        faults.push(fault("an answer shows less than was published", by, operation));
      }
      if (storeVersion > published.version) published = { version: storeVersion, by: operation };
    },
  );
  return faults;
}

function versionOf({ answer }: Operation): number {
  return answer?.version ?? 0;
}

/** The writes of each key, in the order of their versions. */
function writesByKey(operations: readonly Operation[]): Map<number, Operation[]> {
  const writes = byKey(operations.filter((each) => versionOf(each) > 0));
  for (const list of writes.values()) list.sort((one, other) => versionOf(one) - versionOf(other));
  return writes;
}

/** The last of `writes` with a version of at most `version`. */
function newestUpTo(writes: readonly Operation[], version: number): Operation | undefined {
  let low = 0;
  let high = writes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (versionOf(writes[middle] as Operation) <= version) low = middle + 1;
    else high = middle;
  }
  return writes[low - 1];
}

function fault(what: string, { by }: Mark, operation: Operation): string {
  const lines = (by === undefined ? [operation] : [by, operation]).map((each) => {
    return `\n  key ${each.key} ${operationLine(each)}, store at ${each.answer?.storeVersion}`;
  });
  return `${what}:${lines.join("")}`;
}
