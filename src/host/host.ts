/**
 * All that kvix asks of the machine: files, time, randomness, memory and a log.
 *
 * Nothing above this floor touches node:fs, timers, Date.now or randomness, so
 * a simulated host gives crash tests, clock tests and whole-store simulation.
 */
import type { FileSystem } from "./file-system.js";
import type { Workers } from "./worker.js";

/** The machine, as the floors above see it. */
export interface Host {
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly workers: Workers;
  /** The memory that this process may use, in bytes: the machine's, or less if something bounds it. */
  readonly memoryBytes: number;
}

/** Time, and turns on the event loop. */
export interface Clock {
  /** The wall clock: whole Unix milliseconds. It may jump either way. */
  wallMs(): number;
  /** Milliseconds since some instant; never goes back. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when `signal` aborts; it never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `task` on a later turn of the event loop, after pending I/O had its turn. */
  soon(task: () => void): void;
}

/** Secret randomness. */
export interface Entropy {
  /** `length` bytes that nobody can guess. */
  bytes(length: number): Uint8Array;
}

/** What a log line says beside its message. Never a key or a value (V12). */
export type LogFields = Readonly<Record<string, unknown>>;

/** The log; pino fits it. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}
