/** Which errors a life may meet, as things are; any other is a finding. */
import type { Reason } from "../../../src/base/error-catalogue.js";
import type { Life } from "./life.js";

/** A snapshot lasts so long. */
const leaseMs = 5 * 60_000;

/** Whether a call may be refused for this reason; `isAborted`: its client had given up. */
export function isForeseen(reason: Reason, life: Life, isAborted: boolean): boolean {
  switch (reason) {
    case "CANCELLED":
      return isAborted;
    case "STORE_CLOSING":
      return life.isClosing;
    case "NO_SPACE":
      return life.hasFailed || life.isShortOfRoom;
    case "HISTORY_LOST":
      return true;
    case "SNAPSHOT_ENDED":
      return life.world.clock.monotonicMs() - life.startMs >= leaseMs;
    case "WRITE_FAILED":
    case "READ_FAILED":
      return life.hasFailed;
    case "SYNC_FAILED":
    case "STORE_READ_ONLY":
      return (life.hasFailed || life.isShortOfRoom) && life.store.stats().condition.latched;
    case "RECORD_CORRUPT":
      return life.hasRot;
    default:
      return false;
  }
}
