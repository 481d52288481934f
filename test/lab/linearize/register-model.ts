/**
 * What one key of a store may do, one operation after the other: a register with
 * presence and versions.
 *
 *     absent --set--> value, version --set--> value, higher version --delete--> absent
 *
 *  - Each write that changes something has a version above all before it on its key;
 *    a delete of an absent key changes nothing and has none.
 *  - A get, an unmet condition and a previous record show the value that stands and
 *    the version of its write.
 *  - A write of unknown outcome is told no version: what it writes has an open one,
 *    above those before it, until an answer shows it.
 *  - An operation of unknown outcome has a step only where it changes something:
 *    one that changes nothing is the same as one that never happened.
 */
import type { Condition, Operation, Shown } from "./history.js";

/** What stands under the key. */
export interface Register {
  /** Undefined: nothing. */
  readonly value: string | undefined;
  /** The version of that value; 0: open, or nothing stands. */
  readonly version: number;
  /** The highest version so far; of an open one the lowest that it can be. */
  readonly floor: number;
}

/** Before the first operation. */
export const emptyRegister: Register = { value: undefined, version: 0, floor: 0 };

/**
 * What stands after `operation`; undefined: it cannot come next. It is `register` itself
 * if nothing changes. `version`: what an operation of unknown outcome is known to have
 * been given, 0: nothing is known.
 */
export function step(register: Register, operation: Operation, version = 0): Register | undefined {
  const { kind, condition, answer } = operation;
  if (answer === undefined) return guess(register, operation, version);
  const before = observe(register, answer.shown);
  if (before === undefined) return undefined;
  const isWritten = answer.version > 0;
  if (kind === "get") return answer.shown === undefined || isWritten ? undefined : before;
  if (!answer.applied) return isUnmet(before, condition) && !isWritten ? before : undefined;
  const met = meet(before, condition);
  if (met === undefined) return undefined;
  if (kind === "delete" && !isWritten) return met.value === undefined ? met : undefined;
  if (kind === "delete" && met.value === undefined) return undefined;
  return write(met, operation.value, answer.version);
}

function guess(register: Register, operation: Operation, version: number): Register | undefined {
  const { kind, condition, value } = operation;
  if (kind === "get" || (kind === "delete" && register.value === undefined)) return undefined;
  const met = meet(register, condition);
  if (met === undefined) return undefined;
  if (version > 0) return write(met, value, version);
  return { value, version: 0, floor: met.floor + 1 };
}

function write(
  { floor }: Register,
  value: string | undefined,
  version: number,
): Register | undefined {
  if (version <= floor) return undefined;
  return { value, version: value === undefined ? 0 : version, floor: version };
}

/** The register, if it is what was shown. */
function observe(register: Register, shown: Shown | null | undefined): Register | undefined {
  if (shown === undefined) return register;
  if (shown === null) return register.value === undefined ? register : undefined;
  return register.value === shown.value ? withVersion(register, shown.version) : undefined;
}

/** The register, if its value can have that version. */
function withVersion(register: Register, version: number): Register | undefined {
  if (register.version !== 0) return register.version === version ? register : undefined;
  if (register.value === undefined || version < register.floor) return undefined;
  return { ...register, version, floor: version };
}

/** The register, if the condition holds. */
function meet(register: Register, condition: Condition | undefined): Register | undefined {
  switch (condition?.kind) {
    case undefined:
      return register;
    case "absent":
      return register.value === undefined ? register : undefined;
    case "present":
      return register.value === undefined ? undefined : register;
    case "version":
      return withVersion(register, condition.version);
  }
}

/** Whether the condition does not hold; a record that stands was shown, so its version is known. */
function isUnmet(register: Register, condition: Condition | undefined): boolean {
  switch (condition?.kind) {
    case undefined:
      return false;
    case "absent":
      return register.value !== undefined;
    case "present":
      return register.value === undefined;
    case "version":
      return register.value === undefined || register.version !== condition.version;
  }
}
