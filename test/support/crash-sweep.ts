/**
 * One life of a store, crashed at its file operations in every way, and what is left
 * of it lived on:
 *
 *     life -> crash at operation i -> what survives -> live on -> (crash again -> live on)
 *
 * A crash after an operation is one before the next, and one midway in what is no write
 * is one before it. Crashes before operations are had by keeping what the machine was
 * at that moment while the life goes on; for one midway the life is lived anew.
 */
import { strict as assert } from "node:assert";
import { CrashRun } from "./crash-run.js";
import { type FileOperation, isMutating } from "./file-operation.js";
import { located } from "./located.js";
import { SimClock } from "./sim-clock.js";
import { crashAt } from "./sim-hook.js";
import { simHost } from "./sim-host.js";
import { type CrashPolicy, crashPolicies } from "./sim-survival.js";

/** Moments that are kept at a time: a disk each. */
const capturesMax = 24;

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
  /** What the second crash falls into; left out: `liveOn`. */
  readonly recover?: CrashSweepOptions["liveOn"];
  readonly newRun?: () => CrashRun;
  /** What survives where. Default 0. */
  readonly seed?: number;
}

/** A machine that has ended before an operation, or midway in a write. */
interface Crashed {
  readonly index: number;
  readonly moment: "before" | "midway in";
  readonly run: CrashRun;
}

/** Crashes one life. */
export class CrashSweep {
  readonly #life: CrashSweepOptions["life"];
  readonly #liveOn: CrashSweepOptions["liveOn"];
  readonly #recover: CrashSweepOptions["liveOn"];
  readonly #newRun: () => CrashRun;
  readonly #seed: number;
  /** The mutating operations of the whole life. */
  #operations: FileOperation[] | undefined;

  constructor({ life, liveOn, recover, newRun, seed }: CrashSweepOptions) {
    this.#life = life;
    this.#liveOn = liveOn;
    this.#recover = recover ?? liveOn;
    this.#newRun = newRun ?? (() => new CrashRun());
    this.#seed = seed ?? 0;
  }

  /** How many mutating operations the whole life has; `look` sees the run at its end. */
  async countOperations(look?: (run: CrashRun) => void): Promise<number> {
    const run = this.#newRun();
    const operations: FileOperation[] = [];
    const ended = await run.live(this.#life, ({ op }) => {
      if (isMutating(op)) operations.push(op);
      return undefined;
    });
    assert.ok(ended);
    look?.(run);
    this.#operations = operations;
    return operations.length;
  }

  /**
   * The power is cut, with every way of surviving at `rarity` operations together: two
   * thirds of them before the operation, the others midway in it. Answers how often.
   */
  async cutPower({ stride, rarity = 1, from = 0 }: SweepExtent): Promise<number> {
    let recoveries = 0;
    for await (const { index, moment, run } of this.#crashes(stride, from)) {
      for (const [order, policy] of crashPolicies.entries()) {
        const turn = (order + index + this.#seed) % (rarity * 3);
        const isMidway = turn === 2 && this.#isWrite(index);
        if (turn > 2 || isMidway !== (moment === "midway in")) continue;
        const where = `power cut ${moment} ${index}, ${nameOf(policy)}`;
        await this.#judge(this.#survivors(run, policy, index * 100 + order), where);
        recoveries += 1;
      }
    }
    return recoveries;
  }

  /** The power is cut, and again at every operation of the recovery. Answers how often. */
  async cutPowerTwice({ stride, from = 0 }: SweepExtent): Promise<number> {
    const operations = await this.countOperations();
    let recoveries = 0;
    for (let index = from; index < operations; index += stride) {
      const run = await this.#midwayIn(index);
      const policy = this.#policy(index);
      for (let second = 0; ; second += 1) {
        const recovering = this.#survivors(run, policy, index);
        const first = recovering.host.files.mutations;
        const next = this.#policy(index + second);
        const where =
          `power cut midway in ${index}, ${nameOf(policy)}, ` +
          `again at ${second} of the recovery, ${nameOf(next)}`;
        const moment = second % 3 === 1 ? "crash-midway" : "crash-before";
        const hook = crashAt(first + second, moment);
        const ended = await located(
          () => where,
          () => recovering.live((each) => this.#recover(each, where), hook),
        );
        if (ended) break;
        await this.#judge(this.#survivors(recovering, next, second), where);
        recoveries += 1;
      }
    }
    return recoveries;
  }

  /**
   * The process is killed; and, at one operation in `rarity`, killed once more, and the
   * power goes while its successor recovers. Answers how often something ended.
   */
  async kill({ stride, rarity = 1, from = 0 }: SweepExtent): Promise<number> {
    let ends = 0;
    for await (const { index, moment, run } of this.#crashes(stride, from)) {
      const where = `killed ${moment} ${index}`;
      await this.#judge(killed(run, index), where);
      ends += 1;
      if ((index - from) % (rarity * stride) !== 0) continue;
      const second = killed(run, index);
      await second.live((each) => each.openAndJudge(where));
      const policy = this.#policy(index);
      const then = `${where}, then the power went, ${nameOf(policy)}`;
      await this.#judge(this.#survivors(second, policy, index), then);
      ends += 1;
    }
    return ends;
  }

  #judge(run: CrashRun, where: string): Promise<void> {
    return located(
      () => where,
      () => this.#liveOn(run, where),
    );
  }

  /** Every crash before an operation, and every one midway in a write, in the order of operations. */
  async *#crashes(stride: number, from: number): AsyncGenerator<Crashed> {
    const operations = this.#operations?.length ?? (await this.countOperations());
    for (let first = from; first <= operations; first += stride * capturesMax) {
      for (const { index, run } of await this.#captured(first, stride)) {
        yield { index, moment: "before", run };
        if (this.#isWrite(index)) {
          yield { index, moment: "midway in", run: await this.#midwayIn(index) };
        }
      }
    }
  }

  /** One life, and the machine before some operations of it; the last is the end of the life. */
  async #captured(first: number, stride: number): Promise<{ index: number; run: CrashRun }[]> {
    const captures: { index: number; run: CrashRun }[] = [];
    const last = first + stride * (capturesMax - 1);
    const run = this.#newRun();
    const hook = crashAt(last + 1);
    const ended = await run.live(this.#life, (operation) => {
      const { op, index } = operation;
      const isMeant = isMutating(op) && index >= first && index <= last;
      if (isMeant && (index - first) % stride === 0) captures.push({ index, run: run.capture() });
      return hook(operation);
    });
    if (ended) captures.push({ index: run.host.files.mutations, run });
    return captures;
  }

  async #midwayIn(index: number): Promise<CrashRun> {
    const run = this.#newRun();
    await run.live(this.#life, crashAt(index, "crash-midway"));
    return run;
  }

  #isWrite(index: number): boolean {
    return this.#operations?.[index] === "write";
  }

  #policy(index: number): CrashPolicy {
    return crashPolicies[(index + this.#seed) % crashPolicies.length] as CrashPolicy;
  }

  #survivors(run: CrashRun, policy: CrashPolicy, number: number): CrashRun {
    const seed = this.#seed * 1_000_003 + number;
    return run.next(machineOf(run, seed, run.host.files.crash(policy, seed)));
  }
}

function killed(run: CrashRun, seed: number): CrashRun {
  return run.next(machineOf(run, seed, run.host.files.kill()));
}

/** Another machine over these files, at the time at which `run` has ended. */
function machineOf({ host }: CrashRun, seed: number, files: CrashRun["host"]["files"]) {
  return simHost({ seed, files, clock: new SimClock({ wallMs: host.clock.wallMs() }) });
}

function nameOf({ bytes, names }: CrashPolicy): string {
  return `bytes ${bytes}, names ${names}`;
}
