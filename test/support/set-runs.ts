/** Runs of sets, made of keys and values and back. */

import type { SetRun } from "../../src/engine/set-run.js";
import type { Outcome } from "../../src/engine/store.js";
import { PLACES_PER_RECORD } from "../../src/format/plain-frames.js";

/** A key and a value. */
export interface KeyAndValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** The run that sets these, as they would lie in a message: with other bytes around each. */
export function runOf(records: readonly KeyAndValue[]): SetRun {
  const parts: Uint8Array[] = [];
  const places: number[] = [];
  let at = 0;
  for (const { key, value } of records) {
    for (const bytes of [key, value]) {
      parts.push(Uint8Array.of(0xff), bytes);
      places.push(at + 1, at + 1 + bytes.length);
      at += 1 + bytes.length;
    }
  }
  return { source: Buffer.concat(parts), places: Int32Array.from(places) };
}

/** What a run sets. */
export function recordsOfRun({ source, places }: SetRun): KeyAndValue[] {
  return Array.from({ length: places.length / PLACES_PER_RECORD }, (_, set) => {
    const [keyStart, keyEnd, valueStart, valueEnd] = places.slice(set * PLACES_PER_RECORD);
    return {
      key: source.subarray(keyStart, keyEnd),
      value: source.subarray(valueStart, valueEnd),
    };
  });
}

/** Tells an outcome what becomes of a promise. */
export function tell<Result>(promise: Promise<Result>, outcome: Outcome<Result>): void {
  promise.then(
    (result) => outcome.resolve(result),
    (error: unknown) => outcome.reject(error),
  );
}
