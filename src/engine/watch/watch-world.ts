/** What all watches of a store share. */
import type { ByteBudget } from "../byte-budget.js";
import type { Leases } from "../leases.js";
import type { LogReaders } from "../log-readers.js";
import type { SharedTail } from "./shared-tail.js";

/** The parts of a store that its watches work with. */
export interface WatchWorld {
  readonly readers: LogReaders;
  readonly tail: SharedTail;
  /** When watches that have nothing to tell say how far they are. */
  readonly leases: Leases;
  /** Reads of the log by those who are behind. */
  readonly reads: ByteBudget;
  /** Frames that are larger than a read, while a step is made of them. */
  readonly frames: ByteBudget;
  /** Steps of more than 64 KiB, until the next one is asked for. */
  readonly large: ByteBudget;
  readonly soon: (task: () => void) => void;
  /** Resolves when all up to a published version is durable. Rejects with what a sync fails with. */
  readonly durable: (version: number) => Promise<void>;
}
