/** All decoders under test. */
import type { FuzzTarget } from "./fuzz-target.js";
import {
  checkpointTarget,
  hintTarget,
  manifestTarget,
  markTarget,
  nameTarget,
} from "./targets-files.js";
import { batchTarget, frameTarget, recordTarget } from "./targets-records.js";
import { requestTarget, wireTarget } from "./targets-requests.js";
import { segmentTarget } from "./targets-segment.js";
import { quantityTarget, statusTarget, tokenTarget } from "./targets-text.js";

export const fuzzTargets: readonly FuzzTarget[] = [
  recordTarget,
  batchTarget,
  frameTarget,
  segmentTarget,
  manifestTarget,
  hintTarget,
  checkpointTarget,
  markTarget,
  nameTarget,
  tokenTarget,
  quantityTarget,
  statusTarget,
  requestTarget,
  wireTarget,
];

/** The decoder of that name. */
export function findTarget(name: string): FuzzTarget | undefined {
  return fuzzTargets.find((target) => target.name === name);
}
