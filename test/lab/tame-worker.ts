/**
 * Instruments that find, hang and die as they are told, and the program that runs them:
 * for the tests of the lab's frame.
 */
import type { Instrument } from "./instrument.js";
import { serveRuns } from "./run-server.js";

const tame = { sentence: "", oneRun: "", properties: [], runs: { default: 1, ci: 1 } } as const;

/** By seed: 3 finds something, 4 throws, 5 hangs, 6 kills its process, 7 ends it with words. */
export const whim: Instrument = {
  ...tame,
  name: "whim",
  parts: { names: ["whole", "half"] },
  runSecondsMax: 2,
  isParallel: true,
  start: () => ({
    run: async (seed) => {
      if (seed === 4) throw new Error("a defect shows");
      if (seed === 5) await new Promise(() => undefined);
      if (seed === 6) process.kill(process.pid, "SIGKILL");
      if (seed === 7) {
        process.stderr.write("last words\n");
        process.exit(3);
      }
      const counts = { operations: seed };
      return seed === 3 ? { counts, findings: ["a record is gone"] } : { counts };
    },
  }),
};

/** Cannot be used here. */
export const lame: Instrument = {
  ...tame,
  name: "lame",
  runSecondsMax: 2,
  isParallel: false,
  start: () => {
    throw new Error("needs a tool that is not there");
  },
};

const asked = [whim, lame].find(({ name }) => name === process.argv[2]);
if (asked !== undefined && process.send !== undefined) await serveRuns(asked, process.argv[3]);
