/** How a test decides what becomes of each operation of a simulated file system. */
import { isMutating, type OperationFacts } from "./file-operation.js";

/** The process is gone. Code under test may see it; a test that crashes on purpose expects it. */
export class SimCrash extends Error {
  override readonly name = "SimCrash";
}

/** When in an operation the process ends. "midway": a part of a write is done, of all else nothing. */
export type CrashMoment = "crash-before" | "crash-midway" | "crash-after";

/**
 * The operation throws a system error with this code. How much of it is done:
 * "nothing"; "part": some of a write, while a sync forgets for good what it should
 * have made durable, and the next one succeeds, and of all else nothing; "all".
 */
export interface SimFailure {
  readonly code: string;
  readonly done: "nothing" | "part" | "all";
}

/** "fail" is EIO with a part done; "skip": nothing is done, and nobody is told. */
export type SimVerdict = CrashMoment | "fail" | "skip" | SimFailure | undefined;

/** Is asked before each operation. */
export type SimHook = (operation: OperationFacts) => SimVerdict;

/** Whether the verdict ends the process. */
export function isCrash(verdict: SimVerdict): verdict is CrashMoment {
  return typeof verdict === "string" && verdict.startsWith("crash");
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
