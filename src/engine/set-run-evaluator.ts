/**
 * Acceptance of a run of sets (set-run.ts), in one synchronous step:
 *
 *     room for versions and on the disk?  -> or the run is refused whole
 *     room in the index for all keys?     -> every set is appended unseen
 *       else each key is looked up        -> and refused if it is new and has no room
 */
import type { KvixError } from "../base/kvix-error.js";
import { PLACES_PER_RECORD, PlainFrames } from "../format/plain-frames.js";
import type { Acceptance } from "./acceptance.js";
import type { PendingEntry, SetsRequest, WriteOp } from "./write-op.js";

/** Evaluates runs of sets. */
export class SetRunEvaluator {
  readonly #acceptance: Acceptance;

  constructor(acceptance: Acceptance) {
    this.#acceptance = acceptance;
  }

  evaluate(op: WriteOp, { run, runBytes }: SetsRequest): void {
    const acceptance = this.#acceptance;
    const { versions, wallMs } = acceptance.context;
    const { source, places } = run;
    const count = places.length / PLACES_PER_RECORD;
    const nowMs = wallMs();
    versions.requireRoomFor(count);
    acceptance.requireSpace(op);
    // The bytes of the whole run are more than those of its keys.
    const hasRoom = acceptance.hasIndexRoom(runBytes, count);
    const refused = new Map<number, KvixError>();
    // One for all that are refused: it may be kept until those that are not are durable.
    let full: KvixError | undefined;
    const firstVersion = acceptance.nextVersion;
    const chunk = acceptance.beginFrames(runBytes);
    const frames = new PlainFrames(source, nowMs);
    const entries: PendingEntry[] = [];
    const start = chunk.used;
    let at = start;
    for (let set = 0; set < count; set += 1) {
      const place = set * PLACES_PER_RECORD;
      const keyStart = places[place] as number;
      const keyEnd = places[place + 1] as number;
      let newKeyBytes = keyEnd - keyStart;
      if (!hasRoom) {
        const { isIndexed } = acceptance.look(source.subarray(keyStart, keyEnd), nowMs);
        if (!isIndexed && !acceptance.hasIndexRoom(newKeyBytes)) {
          full ??= acceptance.indexFull();
          refused.set(set, full);
          continue;
        }
        if (isIndexed) newKeyBytes = 0;
      }
      const entry = acceptance.encodePlain(chunk, at, frames, places, place, newKeyBytes);
      entries.push(entry);
      at += entry.length;
    }
    if (entries.length > 0) acceptance.endFrames(chunk, op, entries, at - start, nowMs);
    const result = { firstVersion, refused: refused.size > 0 ? refused : undefined };
    op.answer = { kind: "sets", result };
  }
}
