/** Wrong usage: every fault of a command line at once, each with the option that it is about. */
import { KvixError } from "../base/kvix-error.js";

/** One thing that is wrong: `option` is as it was typed, `problem` follows it in a sentence. */
export interface UsageFault {
  readonly option: string;
  readonly problem: string;
}

/** What is wrong with a command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly faults: readonly UsageFault[];

  constructor(faults: readonly UsageFault[]) {
    super(faults.map(({ option, problem }) => `${option} ${problem}`).join("; "));
    this.faults = faults;
  }
}

/** Gathers faults, so that all of them are told at once. */
export class FaultList {
  readonly faults: UsageFault[] = [];

  add(option: string, problem: string): void {
    this.faults.push({ option, problem });
  }

  /** What `read` gives, or undefined after taking note of the faults that it throws. */
  collect<Result>(read: () => Result): Result | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.faults.push(...error.faults);
      return undefined;
    }
  }

  /** Throws if there was any fault. */
  throwIfAny(): void {
    if (this.faults.length > 0) throw new UsageError(this.faults);
  }
}

/** The faults of an OPTION_INVALID by the names of the options; other errors are thrown on. */
export function optionFaultsOf(error: unknown): UsageFault[] {
  if (!(error instanceof KvixError) || error.reason !== "OPTION_INVALID") throw error;
  return Object.entries(error.metadata).map(([option, problem]) => ({
    option,
    problem: String(problem),
  }));
}
