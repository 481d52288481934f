/**
 * The definition of linearizable, tried out: every order of every choice of the
 * operations, for histories of a handful. It shares only the register with the search
 * (checker.ts), so that each can be held against the other.
 */
import type { Operation } from "./history.js";
import { emptyRegister, type Register, step } from "./register-model.js";

/** Whether some order of all that were answered, and of some of unknown outcome, is allowed. */
export function isLinearizable(
  operations: readonly Operation[],
  register: Register = emptyRegister,
): boolean {
  if (operations.every(({ answer }) => answer === undefined)) return true;
  return operations.some((next, index) => {
    // What was answered before this one was called comes before it.
    const isLate = operations.some((each) => each.answer && each.endedAt < next.calledAt);
    if (isLate) return false;
    const after = step(register, next);
    return after !== undefined && isLinearizable(operations.toSpliced(index, 1), after);
  });
}
