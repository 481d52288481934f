/** What a precondition that does not hold is told like. */
import type { Record as StoreRecord } from "../../gen/kvix/v1/kvix_pb.js";
import { showExpiry } from "./record-text.js";

/** One sentence on the record that stands. */
export function unmetMessage(current: StoreRecord | undefined): string {
  const stands =
    current === undefined
      ? "the key is absent"
      : `the key has version ${current.version}${showExpiry(current.expireTime)}`;
  return `not applied, the precondition does not hold: ${stands}`;
}
