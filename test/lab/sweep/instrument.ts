/**
 * The instrument `sweep`: a life, crashed at each of its file operations, and with
 * an error at each of them.
 *
 *     power-cut   before, midway and after each operation, one way of surviving each
 *     twice       a power cut, and another at every operation of the recovery
 *     kill        of the process, at each operation; some once more, with a power cut
 *     errors      an operation that changes something fails, once or for longer
 *     reads       the same of operations that change nothing
 *     unread      a file that one opening cannot read, and another can
 *
 * What an operation is followed by differs from seed to seed: which life, what
 * survives, which error.
 */
import type { CrashRun } from "../../support/crash-run.js";
import { CrashSweep } from "../../support/crash-sweep.js";
import { ErrorSweep, readErrors, writeErrors } from "../../support/error-sweep.js";
import { compactOn, compactOnThoroughly, liveOn } from "../../support/live-on.js";
import { SimRandom } from "../../support/sim-random.js";
import { crashPolicies } from "../../support/sim-survival.js";
import type { Instrument, LabOptions, LabRuns, RunOutcome } from "../instrument.js";
import { propertyIds } from "../properties.js";
import { drawLife, type LifePlan } from "./life-plan.js";
import { Life, LifeCounts, newRunOf } from "./life-run.js";
import { liveUnread } from "./unread.js";

const parts = ["power-cut", "twice", "kill", "errors", "reads", "unread"] as const;

type Part = (typeof parts)[number];

/** Of the three moments of an operation each has one of the ways of surviving. */
const rarity = crashPolicies.length / 3;
/** A recovery is crashed at each of its operations after one crash in so many. */
const twiceStride = 45;
/** One recovery in so many compacts; one in so many of those is looked at thoroughly. */
const compactInterval = 4;
const thoroughInterval = 3;
/** An opening cannot read a file before one operation in so many, and midway in it. */
const unreadStride = 8;

/** The kinds of faults of one life. */
class SweepRun {
  readonly #seed: number;
  readonly #plan: LifePlan;
  readonly #counts = new LifeCounts();
  readonly #life: (run: CrashRun) => Promise<void>;
  readonly #newRun: () => CrashRun;
  #recoveries = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#plan = drawLife(seed);
    const life = new Life(this.#plan, this.#counts);
    this.#life = (run) => life.live(run);
    this.#newRun = () => newRunOf(this.#plan);
  }

  async run(chosen: readonly Part[]): Promise<RunOutcome> {
    const options = { life: this.#life, newRun: this.#newRun, seed: this.#seed };
    const crashes = new CrashSweep({
      ...options,
      liveOn: (run, where) => this.#liveOn(run, where),
      recover: (run, where) => this.#recover(run, where),
    });
    const errors = new ErrorSweep({ ...options, liveOn: (run, where) => this.#liveOn(run, where) });
    const random = new SimRandom(this.#seed);
    const unread = new CrashSweep({
      ...options,
      liveOn: async (run, where) => {
        await this.#liveOn(await liveUnread(run, where, random, this.#counts), where);
      },
    });
    const counts: Record<string, number> = {};
    const findings: string[] = [];
    const operations = await crashes.countOperations();
    const sweepOf: Readonly<Record<Part, () => Promise<number>>> = {
      "power-cut": () => crashes.cutPower({ stride: 1, rarity }),
      twice: () => crashes.cutPowerTwice({ stride: twiceStride, from: this.#seed % twiceStride }),
      kill: () => crashes.kill({ stride: 1, rarity: 10 }),
      errors: () => errors.run({ kinds: writeErrors, stride: 1, kindsEach: 1 }),
      reads: () => errors.run({ kinds: readErrors, stride: 8, kindsEach: 1 }),
      unread: () => unread.kill({ stride: unreadStride, from: this.#seed % unreadStride }),
    };
    for (const part of chosen) {
      try {
        counts[countNames[part]] = await sweepOf[part]();
      } catch (error) {
        findings.push(`${part}, ${this.#plan.name}: ${textOf(error)}`);
      }
    }
    const { calls, refusals, latches, refusedOpenings, degradedOpenings, fullDisks } = this.#counts;
    return {
      counts: {
        lives: 1,
        [`lives of ${this.#plan.name}`]: 1,
        "file operations": operations,
        ...counts,
        recoveries: this.#recoveries,
        "calls before a fault": calls,
        "refused calls": refusals,
        "latched stores": latches,
        "refused openings": refusedOpenings,
        "degraded openings": degradedOpenings,
        "full disks": fullDisks,
      },
      findings,
    };
  }

  async #liveOn(run: CrashRun, where: string): Promise<void> {
    this.#recoveries += 1;
    const number = Math.floor(this.#recoveries / compactInterval);
    if (run.mayBeDamaged || this.#recoveries % compactInterval !== 0) await liveOn(run, where);
    else if (number % thoroughInterval === 0) await compactOnThoroughly(run, where);
    else await compactOn(run, where);
  }

  /** Up to the first write, which is the first that changes more than a torn tail. */
  async #recover(run: CrashRun, where: string): Promise<void> {
    await run.openAndJudge(where);
    await run.set("after", "0");
  }
}

const countNames: Readonly<Record<Part, string>> = {
  "power-cut": "power cuts",
  twice: "second power cuts",
  kill: "kills",
  errors: "errors of writing operations",
  reads: "errors of reading operations",
  unread: "files that were not read",
};

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** See the head of this file. */
export const sweepInstrument: Instrument = {
  name: "sweep",
  sentence: "Crashes and errors at every file operation of a life on a simulated disk.",
  oneRun: "one life, crashed and failed at each of its file operations",
  parts: { names: parts },
  properties: propertyIds(
    "V1 V2 V3 V5 V6 V7 V8 V10 V14 V15 V16 D1 D2 D3 D4 D5 D6 R2 R7 R8 R11 M1 M2 M3 M4 M5 I8 T1 T2 T3 T5 B1 B3 P7",
  ),
  runs: { default: 12, ci: 6 },
  runSecondsMax: 600,
  isParallel: true,
  start: ({ only }: LabOptions): LabRuns => {
    const chosen = only === undefined ? parts : parts.filter((part) => part === only);
    return { run: (seed) => new SweepRun(seed).run(chosen) };
  },
  shortcomings: (counts) => {
    const wanted = [
      ...Object.values(countNames),
      ...["full disks", "latched stores", "refused calls", "degraded openings"],
    ];
    return wanted.filter((name) => !(counts[name] ?? 0)).map((name) => `no ${name}`);
  },
};
