/**
 * A machine that a seed determines: simulated disk, clock and randomness, and a
 * log that remembers. After a crash, build another host over what is left:
 *
 *     const host = simHost({ seed });
 *     ...
 *     const next = simHost({ seed: seed + 1, clock: host.clock, files: host.files.crash(...) });
 */
import type { Entropy, Host, Log, LogFields } from "../../src/host/host.js";
import { SimClock } from "./sim-clock.js";
import { SimFileSystem } from "./sim-file-system.js";
import { SimRandom } from "./sim-random.js";
import type { SimScheduler } from "./sim-scheduler.js";
import { SimWorkers } from "./sim-workers.js";

/** One line of the log. */
export interface LogLine {
  readonly level: keyof Log;
  readonly fields: LogFields;
  readonly message: string;
}

/** Lines that a log keeps; a test that writes more has gone astray. */
const linesMax = 100_000;

/** A log that remembers, so that tests see what was said, and what was not (V12). */
export class SimLog implements Log {
  readonly lines: LogLine[] = [];

  debug(fields: LogFields, message: string): void {
    this.#add({ level: "debug", fields, message });
  }

  info(fields: LogFields, message: string): void {
    this.#add({ level: "info", fields, message });
  }

  warn(fields: LogFields, message: string): void {
    this.#add({ level: "warn", fields, message });
  }

  error(fields: LogFields, message: string): void {
    this.#add({ level: "error", fields, message });
  }

  #add(line: LogLine): void {
    if (this.lines.length === linesMax) throw new Error(`more than ${linesMax} log lines`);
    this.lines.push(line);
  }
}

/** Randomness that is no secret. */
export class SimEntropy implements Entropy {
  readonly #random: SimRandom;

  constructor(seed: number) {
    this.#random = new SimRandom(seed);
  }

  bytes(length: number): Uint8Array {
    return this.#random.bytes(length);
  }
}

export interface SimHostOptions {
  readonly seed: number;
  /** Orders file operations and later turns; for the parts that are not given. */
  readonly scheduler?: SimScheduler | undefined;
  readonly files?: SimFileSystem | undefined;
  readonly clock?: SimClock | undefined;
  readonly log?: SimLog | undefined;
}

/** A host whose parts a test can get at. */
export interface SimHost extends Host {
  readonly files: SimFileSystem;
  readonly clock: SimClock;
  readonly workers: SimWorkers;
  readonly log: SimLog;
}

/** Makes the parts that are not given. */
export function simHost(options: SimHostOptions): SimHost {
  const { seed, scheduler } = options;
  const clock = options.clock ?? new SimClock({ scheduler });
  return {
    files: options.files ?? new SimFileSystem({ seed, scheduler }),
    clock,
    workers: new SimWorkers(clock),
    entropy: new SimEntropy(seed),
    memoryBytes: 2 ** 30,
    log: options.log ?? new SimLog(),
  };
}
