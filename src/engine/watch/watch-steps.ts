/**
 * From what a watcher reads to what it is told: the events of its keys, cut into steps
 * of bounded size.
 *
 *     run     [a b] [c] [d e f g ........ ] [h]      changes; those in brackets at once
 *     steps   a b c | d e, continues | f g | h
 *
 * Invariants
 *  1. A change is told in one step, or in steps of its own of which all but the last
 *     say `continues`; until then `version` stands before it.
 *  2. A step has at most `bytesMax`, but for one event without its value.
 */
import { PAGE_BYTES_MAX } from "../../base/limits.js";
import { compareKeys, type KeyBounds } from "../key-range.js";
import type { LogEvent } from "../log-events.js";
import type { WatchEvent, WatchStep } from "../store-watch.js";
import type { Run } from "./shared-tail.js";

/** What lies around a record in a step: tags, lengths, kind, size and marks. At most this. */
export const EVENT_OVERHEAD_BYTES = 32;
/** What an event without value and update time has beside its key, all around it included. */
const BARE_EVENT_BYTES = 72;

/** What of a run is told, and how. */
export interface StepRules {
  readonly bounds: KeyBounds;
  readonly keysOnly: boolean;
  readonly bytesMax: number;
}

/** How far a watcher is. */
export interface Cursor {
  /** All up to this version is told, or is none of its keys. */
  readonly version: number;
  /** In the middle of a change: where it stood before it. */
  readonly before: number | undefined;
}

/** A step, and where it leads to. */
export interface CutStep {
  /** Undefined: nothing of the run concerns the watcher. */
  readonly step: WatchStep | undefined;
  readonly cursor: Cursor;
}

/** The first step of what a run has behind the cursor. */
export function cutStep(run: Run, cursor: Cursor, rules: StepRules): CutStep {
  const events: WatchEvent[] = [];
  const partMax = Math.min(rules.bytesMax, PAGE_BYTES_MAX);
  let bytes = 0;
  let { version } = cursor;
  for (const change of run.changes) {
    const last = (change.at(-1) as LogEvent).version;
    if (last <= cursor.version) continue;
    const told = change.filter((event) => event.version > version && hasKey(rules.bounds, event));
    const own = told.map((event) => eventOf(event, rules));
    const ownBytes = own.reduce((sum, event) => sum + costOf(event), 0);
    if (events.length > 0 && bytes + ownBytes > partMax) break;
    if (ownBytes > partMax || cursor.before !== undefined) {
      return cutChange(own, last, cursor, partMax);
    }
    events.push(...own);
    bytes += ownBytes;
    version = last;
    if (bytes >= partMax) break;
  }
  const isAll = (run.changes.at(-1)?.at(-1)?.version ?? 0) <= version;
  if (isAll) version = Math.max(version, run.version);
  const next = { version, before: undefined };
  if (events.length === 0) return { step: undefined, cursor: next };
  return { step: { events, version, isCurrent: false, continues: false }, cursor: next };
}

/** The next part of a change that does not fit one step. `own`: its events that are not told. */
function cutChange(
  own: readonly WatchEvent[],
  last: number,
  { version, before = version }: Cursor,
  partMax: number,
): CutStep {
  const events: WatchEvent[] = [];
  let bytes = 0;
  for (const event of own) {
    bytes += costOf(event);
    if (events.length > 0 && bytes > partMax) break;
    events.push(event);
  }
  const continues = events.length < own.length;
  const cursor = continues
    ? { version: (events.at(-1) as WatchEvent).version, before }
    : { version: last, before: undefined };
  const step = { events, version: continues ? before : last, isCurrent: false, continues };
  return { step, cursor };
}

/** Whether the key of an event lies in a range. */
function hasKey({ low, high }: KeyBounds, { key }: LogEvent): boolean {
  if (low !== undefined && compareKeys(key, low) < 0) return false;
  return high === undefined || compareKeys(key, high) < 0;
}

function eventOf(event: LogEvent, { keysOnly, bytesMax }: StepRules): WatchEvent {
  const { kind, key, version, payload, expiresAtMs } = event;
  const fits = payload.length + EVENT_OVERHEAD_BYTES <= bytesMax;
  return {
    kind,
    key,
    version,
    expiresAtMs,
    recordBytes: kind === "set" ? payload.length : 0,
    record: keysOnly ? "keys-only" : fits ? payload : "too-large",
  };
}

/** What an event counts for. */
export function costOf({ key, record }: WatchEvent): number {
  if (typeof record === "string") return key.length + BARE_EVENT_BYTES;
  return record.length + EVENT_OVERHEAD_BYTES;
}
