/**
 * How large what a commit appends will be, told from what stands and before
 * anything is read: so a commit that cannot fit one frame reads nothing.
 */
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../base/limits.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import { NUMBER_TEXT_BYTES_MAX } from "../format/number-text.js";
import { recordBytes } from "../format/record.js";
import type { AcceptedKey } from "./accepted-state.js";
import type { Mutation } from "./store.js";

/** The length of the frame that stands, in bytes; 0: none does. */
function standingBytes({ place }: AcceptedKey): number {
  if (place === undefined) return 0;
  return place.kind === "pending" ? place.entry.length : place.length;
}

/** Whether a record that stands is short enough to be a number's. */
export function mayBeNumber(key: Uint8Array, standing: AcceptedKey): boolean {
  const [version, ms] = [VERSION_MAX, EXPIRES_AT_MS_MAX];
  const longest = recordBytes(key.length, NUMBER_TEXT_BYTES_MAX, version, ms, ms);
  return standingBytes(standing) <= FRAME_HEADER_BYTES + longest;
}

/** Whether a mutation needs the value that stands, and so must have it read. */
export function needsValue(mutation: Mutation, standing: AcceptedKey): boolean {
  if (!standing.isVisible) return false;
  if (mutation.kind === "touch") return true;
  return mutation.kind === "increment" && mayBeNumber(mutation.key, standing);
}

/** The keys and values that the mutations append together, in bytes; what stands goes with its frame. */
export function appendedBytes(
  mutations: readonly Mutation[],
  standings: readonly AcceptedKey[],
): number {
  let bytes = 0;
  for (const [index, mutation] of mutations.entries()) {
    const standing = standings[index] as AcceptedKey;
    if (mutation.kind === "touch") bytes += standing.isVisible ? standingBytes(standing) : 0;
    else bytes += mutation.key.length + (mutation.kind === "set" ? mutation.value.length : 0);
  }
  return bytes;
}
