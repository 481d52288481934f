/** How a test decides what becomes of each operation of a simulated file system. */
import { isMutating, type OperationFacts } from "./file-operation.js";

/** The process is gone. Code under test may see it; a test that crashes on purpose expects it. */
export class SimCrash extends Error {
  override readonly name = "SimCrash";
}

/** When in an operation the process ends. "midway": a part of a write is done, of all else nothing. */
export type CrashMoment = "crash-before" | "crash-midway" | "crash-after";

/**
 * "fail": the operation throws EIO, or the code that is named. A write is done in
 * part; a sync forgets for good what it should have made durable, and the next one
 * succeeds; of all else nothing is done.
 */
export type SimVerdict = CrashMoment | "fail" | { readonly code: string } | undefined;

/** Is asked before each operation. */
export type SimHook = (operation: OperationFacts) => SimVerdict;

/** Whether a verdict ends the process. */
export function isCrash(verdict: SimVerdict): verdict is CrashMoment {
  return typeof verdict === "string" && verdict !== "fail";
}

/** Ends the process at the mutating operation with this index. */
export function crashAt(index: number, when: CrashMoment = "crash-before"): SimHook {
  return (operation) => (isMutating(operation.op) && operation.index === index ? when : undefined);
}

/** The ways an operation can go; a verdict chooses. */
export interface Steps<T> {
  readonly act: () => T;
  readonly half?: () => void;
  readonly fail?: () => void;
}
