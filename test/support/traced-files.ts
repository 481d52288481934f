/** A simulated directory whose file operations are told, and fail where a test says so. */
import { type FaultTarget, FaultyFileSystem, injectFault } from "./faulty-file-system.js";
import type { OperationFacts } from "./file-operation.js";
import { SimFileSystem } from "./sim-file-system.js";

/** What a test of one file works with. */
export interface TracedFiles {
  /** Past the faults. */
  readonly disk: SimFileSystem;
  readonly files: FaultyFileSystem;
  /** The operations so far. */
  readonly trace: string[];
  /** From now on this operation fails. */
  readonly fail: (target: FaultTarget, code?: string) => void;
  /** From now on none does. */
  readonly heal: () => void;
}

/** `tell`: what the trace has of an operation; its name, if nothing is said. */
export async function tracedFiles(
  directory = "/d",
  tell: (operation: OperationFacts) => string = ({ op }) => op,
): Promise<TracedFiles> {
  const disk = new SimFileSystem();
  await disk.makeDirectory(directory);
  const files = new FaultyFileSystem(disk);
  const trace: string[] = [];
  let injector: ReturnType<typeof injectFault> | undefined;
  files.injector = (operation) => {
    trace.push(tell(operation));
    return injector?.(operation);
  };
  const fail = (target: FaultTarget, code = "EIO"): void => {
    injector = injectFault({ kind: "error", code }, target);
  };
  const heal = (): void => {
    injector = undefined;
  };
  return { disk, files, trace, fail, heal };
}
