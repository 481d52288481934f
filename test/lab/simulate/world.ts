/**
 * The world of one seed: a disk, a clock, and an order of whatever could happen in
 * any order. Nothing in it is real, time least of all:
 *
 *     something waits     -> one of it happens; now and then some time passes meanwhile
 *     nothing waits       -> time passes until somebody wakes
 *     nobody gets on      -> a finding
 *
 * Lives follow each other in it. When one has ended, however it ended, nothing of
 * it happens any more.
 */
import type { OperationFacts } from "../../support/file-operation.js";
import { SimClock } from "../../support/sim-clock.js";
import { SimFileSystem, type SimFileSystemOptions } from "../../support/sim-file-system.js";
import { isCrash, type SimHook } from "../../support/sim-hook.js";
import { type SimHost, simHost } from "../../support/sim-host.js";
import { SimRandom } from "../../support/sim-random.js";
import { SeededScheduler, type SimScheduler, tick } from "../../support/sim-scheduler.js";
import type { CrashPolicy } from "../../support/sim-survival.js";
import { Trace } from "./trace.js";
import { WallLog } from "./wall-log.js";

/** Times that sleepers were woken without a client getting on: then none ever will. */
const wakesMax = 20_000;
/** Turns of one life. */
const turnsMax = 400_000;

/** How a life ended. */
export type LifeEnd = "ended" | "crashed";

/** The machine and its time. */
export class World implements SimScheduler {
  readonly random: SimRandom;
  readonly trace = new Trace();
  readonly clock: SimClock;
  readonly wall: WallLog;
  host: SimHost;
  /** Which life it is; another as soon as one is over. What is said of an earlier one, nobody hears. */
  era = 0;
  /** File operations of all lives. */
  operations = 0;
  /** A read takes this long now and then, as from a cold disk. */
  slowReadMs = 0;
  /** Is asked before each file operation, and throws what must not be. */
  onOperation: (operation: OperationFacts) => void = () => undefined;
  readonly #seed: number;
  #files: SimFileSystem;
  #scheduler: SeededScheduler | undefined;
  #wakes = 0;
  #idleTurns = 0;
  #lives = 0;
  #onStuck: (why: string) => void = () => undefined;

  constructor(seed: number) {
    this.#seed = seed;
    this.random = new SimRandom(seed);
    this.clock = new SimClock({ scheduler: this });
    this.wall = new WallLog(this.clock.wallMs());
    this.clock.onWallChange = (wallMs) => {
      this.wall.add(wallMs);
      this.trace.number(wallMs);
    };
    this.#files = new SimFileSystem({ seed, ...this.#filesOptions() });
    this.host = this.#machine();
  }

  get files(): SimFileSystem {
    return this.#files;
  }

  get waiting(): number {
    return this.#scheduler?.waiting ?? 0;
  }

  defer(task: () => void): void {
    this.#scheduler?.defer(task);
  }

  /** A later turn, after some of what waits. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.defer(resolve));
  }

  /** A client has an answer. */
  getsOn(): void {
    this.#wakes = 0;
  }

  /** Runs one life to its end. Throws what it throws, and if it has no end. */
  live(life: () => Promise<void>, hook: SimHook): Promise<LifeEnd> {
    this.#lives += 1;
    this.era += 1;
    const { era } = this;
    this.#wakes = 0;
    this.#idleTurns = 0;
    const scheduler = new SeededScheduler(this.#seed * 64 + this.#lives, {
      turn: tick,
      onIdle: () => this.#passTime(),
      idleShare: 0.03,
    });
    this.#scheduler = scheduler;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.era += 1;
        scheduler.stop();
        this.clock.forgetSleepers();
      };
      const fail = (error: unknown): void => {
        end();
        reject(error);
      };
      this.#onStuck = (why) => fail(new Error(why));
      this.#files.onOperation = (operation) => {
        try {
          this.onOperation(operation);
        } catch (error) {
          // To the store it would be an error of the disk.
          fail(error);
          return undefined;
        }
        const verdict = this.#meet(operation, hook);
        if (isCrash(verdict)) {
          end();
          resolve("crashed");
        }
        return verdict;
      };
      scheduler.start();
      life().then(
        () => {
          if (this.era !== era) return;
          end();
          resolve("ended");
        },
        (error: unknown) => {
          // What a dead process throws is of no interest; what a live one throws is a defect.
          if (this.era === era) fail(error);
        },
      );
    });
  }

  /** Cuts the power, or without a policy ends the process alone; the machine is another then. */
  restart(policy: CrashPolicy | undefined): void {
    const options = this.#filesOptions();
    const seed = this.random.bits();
    this.trace.word(policy === undefined ? "killed" : `${policy.bytes} ${policy.names}`);
    this.#files =
      policy === undefined
        ? this.#files.kill({ ...options, seed })
        : this.#files.crash(policy, seed, { ...options, seed });
    this.host = this.#machine();
  }

  #machine(): SimHost {
    const seed = this.random.bits();
    return simHost({ seed, files: this.#files, clock: this.clock });
  }

  #filesOptions(): SimFileSystemOptions {
    return { scheduler: this };
  }

  #meet(operation: OperationFacts, hook: SimHook): ReturnType<SimHook> {
    const { op, path, position = 0, lengthBytes = 0 } = operation;
    this.operations += 1;
    this.trace.word(op);
    this.trace.word(path);
    this.trace.number(position + lengthBytes);
    if (op === "read" && this.slowReadMs > 0) this.clock.drift(this.slowReadMs);
    const verdict = hook(operation);
    if (verdict !== undefined) this.trace.word("!");
    return verdict;
  }

  #passTime(): boolean {
    const ran = this.#scheduler?.ran ?? 0;
    this.#idleTurns += 1;
    if (ran + this.#idleTurns > turnsMax) {
      this.#onStuck(`a life has no end after ${turnsMax} turns`);
      return false;
    }
    if (this.waiting > 0) {
      if (this.random.chance(0.7)) this.clock.drift(1 + this.random.below(20));
      else this.clock.wakeNext();
      return true;
    }
    this.#wakes += 1;
    if (this.#wakes > wakesMax || !this.clock.wakeNext()) {
      this.#onStuck("nobody gets on: calls are never answered");
      return false;
    }
    return true;
  }
}
