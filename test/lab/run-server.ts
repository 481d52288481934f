/**
 * A process in which runs of one instrument happen, one at a time, for crew.ts:
 *
 *     <- run, seed 7         -> done, seed 7, what came of it (thrown errors are findings)
 *     <- close               the process ends
 *
 * It also ends when the lab does.
 */
import type { Instrument, LabRuns, RunOutcome } from "./instrument.js";

/** What a worker says: once at its start whether it can run, then the outcome of each run. */
export type WorkerAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "done"; readonly seed: number; readonly outcome: RunOutcome };

/** What a worker is told. */
export type WorkerOrder =
  | { readonly kind: "run"; readonly seed: number }
  | { readonly kind: "close" };

/** Serves runs until told to close. */
export async function serveRuns(instrument: Instrument, only: string | undefined): Promise<void> {
  let runs: LabRuns;
  try {
    requirePart(instrument, only);
    runs = await instrument.start({ only });
  } catch (error) {
    answer({ kind: "refused", why: error instanceof Error ? error.message : String(error) });
    process.disconnect();
    return;
  }
  const close = (): void => {
    void Promise.resolve(runs.close?.()).finally(() => process.exit());
  };
  process.on("message", (order: WorkerOrder) => {
    if (order.kind === "close") return close();
    void runSeed(runs, order.seed).then((outcome) =>
      answer({ kind: "done", seed: order.seed, outcome }),
    );
  });
  process.on("disconnect", close);
  answer({ kind: "ready" });
}

/** Throws unless the instrument has a part of that name. */
function requirePart({ parts }: Instrument, only: string | undefined): void {
  if (only === undefined || parts?.names.includes(only)) return;
  const known = parts === undefined ? "it has no parts" : `it has ${parts.names.join(", ")}`;
  throw new TypeError(`no part is called ${only}: ${known}`);
}

async function runSeed(runs: LabRuns, seed: number): Promise<RunOutcome> {
  try {
    return await runs.run(seed);
  } catch (error) {
    return { counts: {}, findings: [textOf(error)] };
  }
}

function answer(message: WorkerAnswer): void {
  process.send?.(message);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
