/**
 * One life of a store, crashed at its file operations in every way, and what is left
 * of it lived on:
 *
 *     life -> crash at operation i -> what survives -> live on -> (crash again -> live on)
 */
import { strict as assert } from "node:assert";
import { CrashRun } from "./crash-run.js";
import { isMutating } from "./file-operation.js";
import { type CrashMoment, crashAt } from "./sim-hook.js";
import { simHost } from "./sim-host.js";
import { type CrashPolicy, crashPolicies } from "./sim-survival.js";

const moments: readonly CrashMoment[] = ["crash-before", "crash-midway", "crash-after"];

/** How far a sweep goes. */
export interface SweepExtent {
  /** From one crash to the next: so many operations; 1: every one. */
  readonly stride: number;
  /** Every way of surviving at one operation in so many. */
  readonly rarity?: number;
  /** The first operation. */
  readonly from?: number;
}

/** What a sweep is of. */
export interface CrashSweepOptions {
  readonly life: (run: CrashRun) => Promise<void>;
  /** Opens what is left, judges it, and shows that it works. */
  readonly liveOn: (run: CrashRun, where: string) => Promise<void>;
  readonly newRun?: () => CrashRun;
}

/** Crashes one life. */
export class CrashSweep {
  readonly #life: CrashSweepOptions["life"];
  readonly #liveOn: CrashSweepOptions["liveOn"];
  readonly #newRun: () => CrashRun;

  constructor({ life, liveOn, newRun = () => new CrashRun() }: CrashSweepOptions) {
    this.#life = life;
    this.#liveOn = liveOn;
    this.#newRun = newRun;
  }

  /** How many mutating operations the whole life has; `look` sees the run at its end. */
  async countOperations(look?: (run: CrashRun) => void): Promise<number> {
    const run = this.#newRun();
    let count = 0;
    const ended = await run.live(this.#life, (operation) => {
      if (isMutating(operation.op)) count = operation.index + 1;
      return undefined;
    });
    assert.ok(ended);
    look?.(run);
    return count;
  }

  /** The power is cut; each way of surviving at one of the three moments, in turns. Answers how often. */
  async cutPower({ stride, rarity = 1, from = 0 }: SweepExtent): Promise<number> {
    const operations = await this.countOperations();
    let recoveries = 0;
    for (let index = from; index < operations; index += stride) {
      for (const [turn, moment] of moments.entries()) {
        const run = await this.#crashed(index, moment);
        for (const [order, policy] of crashPolicies.entries()) {
          if ((order + index) % (rarity * moments.length) !== turn) continue;
          const where = `${moment} ${index}, bytes ${policy.bytes}, names ${policy.names}`;
          await this.#liveOn(survivors(run, policy, index * 100 + order), where);
          recoveries += 1;
        }
      }
    }
    return recoveries;
  }

  /** The power is cut, and again at every operation of the recovery. Answers how often. */
  async cutPowerTwice({ stride, from = 0 }: SweepExtent): Promise<number> {
    const operations = await this.countOperations();
    let recoveries = 0;
    for (let index = from; index < operations; index += stride) {
      const run = await this.#crashed(index, "crash-midway");
      const policy = crashPolicies[index % crashPolicies.length] as CrashPolicy;
      for (let second = 0; ; second += 1) {
        const recovering = survivors(run, policy, index);
        const first = recovering.host.files.mutations;
        const where = `crash at ${index}, again at ${second} of the recovery`;
        const ended = await recovering.live(
          (each) => this.#liveOn(each, where),
          crashAt(first + second, moments[second % 3]),
        );
        if (ended) break;
        const next = crashPolicies[(index + second) % crashPolicies.length] as CrashPolicy;
        await this.#liveOn(survivors(recovering, next, second), where);
        recoveries += 1;
      }
    }
    return recoveries;
  }

  /** The process is killed; and killed once more, and the power goes while its successor recovers. */
  async kill({ stride, from = 0 }: SweepExtent): Promise<void> {
    const operations = await this.countOperations();
    for (let index = from; index < operations; index += stride) {
      const run = await this.#crashed(index, moments[index % 3] as CrashMoment);
      await this.#liveOn(killed(run, index), `killed at ${index}`);
      const second = killed(run, index);
      await second.live((each) => each.openAndJudge(`killed at ${index}`));
      const policy = crashPolicies[index % crashPolicies.length] as CrashPolicy;
      await this.#liveOn(
        survivors(second, policy, index),
        `killed at ${index}, then the power went`,
      );
    }
  }

  async #crashed(index: number, moment: CrashMoment): Promise<CrashRun> {
    const run = this.#newRun();
    await run.live(this.#life, crashAt(index, moment));
    return run;
  }
}

function survivors(run: CrashRun, policy: CrashPolicy, seed: number): CrashRun {
  const files = run.host.files.crash(policy, seed);
  return run.next(simHost({ seed, files, clock: run.host.clock }));
}

function killed(run: CrashRun, seed: number): CrashRun {
  return run.next(simHost({ seed, files: run.host.files.kill(), clock: run.host.clock }));
}
