/**
 * Counts the bytes of index pages that one call copies, rehashes or sorts, and
 * refuses to go on past the bound: growth is incremental or it is a defect.
 *
 * Counted: hash slots drained and placed, entry numbers merged or sorted with
 * the key prefixes gathered for it, key cells moved. Not counted: the caller's
 * own key and row, and key bytes that are only compared; those have bounds of
 * their own (see key-order.ts).
 */
import { KvixError } from "../../base/kvix-error.js";

/** No step touches more bytes of index pages than this. */
export const STEP_BYTES_MAX = 65_536;

/** The meter of one keydir. */
export class StepMeter {
  #bytes = 0;
  #worstBytes = 0;

  /** The bytes that this step may still touch. */
  get room(): number {
    return STEP_BYTES_MAX - this.#bytes;
  }

  /** The most that any step has touched. */
  get worstBytes(): number {
    return this.#worstBytes;
  }

  /** Starts a step. Every call that changes the keydir does so once. */
  begin(): void {
    this.#bytes = 0;
  }

  /** Counts `bytes` more in this step. Throws INTERNAL_BUG past the bound. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#worstBytes) {
      this.#worstBytes = this.#bytes;
      if (this.#bytes > STEP_BYTES_MAX) {
        throw new KvixError("INTERNAL_BUG", `an index step touched ${this.#bytes} bytes`);
      }
    }
  }
}
