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
    // One that stood on a write for which there was no room.
    case "WRITE_FAILED":
      return life.hasFailed || life.isShortOfRoom || life.hasSpoiltStaging;
    case "READ_FAILED":
      return life.hasFailed;
    case "SYNC_FAILED":
    case "STORE_READ_ONLY":
      return (life.hasFailed || life.isShortOfRoom) && life.store.stats().condition.latched;
    case "RECORD_CORRUPT":
      return life.hasRot;
    case "PREVIOUS_CORRUPT":
      return life.hasRot;
    // The history judges whether it is so.
    case "NOT_A_NUMBER":
    case "NUMBER_OVERFLOW":
    case "REQUEST_ID_REUSED":
      return true;
    default:
      return false;
  }
}
