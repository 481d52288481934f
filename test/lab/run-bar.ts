/**
 * How far the runs of an instrument are: a bar on a terminal; elsewhere a line now and then,
 * and one for each finding at once.
 */
import { Output } from "../../src/cli/output.js";
import { openProgressBar } from "../../src/cli/progress-bar.js";
import { grouped } from "./lab-report.js";
import type { Tally } from "./tally.js";

/** Shows how far it is. */
export interface RunBar {
  readonly update: (tally: Tally) => void;
  end(): void;
}

const msBetweenLines = 30_000;

/** Runs are counted up to `runsMax`, or, if that is far away, the seconds up to `secondsMax`. */
export async function openRunBar(
  name: string,
  { runsMax, secondsMax }: { readonly runsMax: number; readonly secondsMax: number },
): Promise<RunBar> {
  const isTimed = secondsMax < 2 ** 20;
  const err = new Output(process.stderr);
  const bar = await openProgressBar(err, `${name} {bar} {percentage}%, {runs} runs, {found} found`);
  const startMs = performance.now();
  let toldMs = startMs;
  let toldFindings = 0;
  return {
    update: ({ runs, findingCount, findings }) => {
      const nowMs = performance.now();
      const seconds = (nowMs - startMs) / 1000;
      const [done, total] = isTimed ? [seconds, secondsMax] : [runs, runsMax];
      bar.update(done, total, { runs: grouped(runs), found: String(findingCount) });
      if (err.isTerminal) return;
      for (const { seed, text } of findings.slice(toldFindings)) {
        process.stderr.write(`${name}: FOUND with seed ${seed}: ${text.split("\n", 1)[0]}\n`);
      }
      toldFindings = findings.length;
      if (nowMs - toldMs < msBetweenLines) return;
      toldMs = nowMs;
      process.stderr.write(
        `${name}: ${grouped(runs)} runs in ${grouped(Math.round(seconds))} s, ${findingCount} found\n`,
      );
    },
    end: () => bar.end(),
  };
}
