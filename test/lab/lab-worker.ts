/**
 * A process in which runs of one instrument happen, one at a time, for crew.ts:
 *
 *     node lab-worker.js INSTRUMENT [ONLY]
 *
 *     <- {"seed": 7}         -> {"seed": 7, "outcome": ...} | {"seed": 7, "thrown": "..."}
 *     <- "close"             the process ends
 */
import { findInstrument } from "./catalogue.js";
import type { LabRuns, RunOutcome } from "./instrument.js";

/** What a worker answers for one seed, or once at its start. */
export type WorkerAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "done"; readonly seed: number; readonly outcome: RunOutcome };

/** What a worker is told. */
export type WorkerOrder =
  | { readonly kind: "run"; readonly seed: number }
  | { readonly kind: "close" };

function answer(message: WorkerAnswer): void {
  process.send?.(message);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function runSeed(runs: LabRuns, seed: number): Promise<RunOutcome> {
  try {
    return await runs.run(seed);
  } catch (error) {
    return { counts: {}, findings: [textOf(error)] };
  }
}

async function main([name = "", only]: readonly string[]): Promise<void> {
  const instrument = findInstrument(name);
  if (instrument === undefined) throw new TypeError(`no instrument is called ${name}`);
  let runs: LabRuns;
  try {
    runs = await instrument.start({ only });
  } catch (error) {
    answer({ kind: "refused", why: error instanceof Error ? error.message : String(error) });
    process.disconnect();
    return;
  }
  process.on("message", (order: WorkerOrder) => {
    if (order.kind === "run") {
      void runSeed(runs, order.seed).then((outcome) =>
        answer({ kind: "done", seed: order.seed, outcome }),
      );
      return;
    }
    void Promise.resolve(runs.close?.()).finally(() => process.exit());
  });
  // The lab itself was ended.
  process.on("disconnect", () => {
    void Promise.resolve(runs.close?.()).finally(() => process.exit());
  });
  answer({ kind: "ready" });
}

await main(process.argv.slice(2));
