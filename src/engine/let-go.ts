/**
 * Closing files and releasing locks at the end of a session, or of an opening that
 * failed. Nothing depends on their answers: what was to be durable was synced before,
 * and a close that fails has closed. So each has its turn, and a failure is only told.
 */
import type { Log } from "../host/host.js";

/** Takes the steps one after the other, whatever they throw. */
export async function letGo(
  log: Log,
  steps: Iterable<() => Promise<void> | undefined>,
): Promise<void> {
  for (const step of steps) {
    try {
      await step();
    } catch (err) {
      log.warn({ err }, "a file could not be closed properly");
    }
  }
}
