/**
 * What clients tried on a key of a store, and what of it may stand there: the
 * terms in which the oracle judges (oracle.ts).
 *
 *     set v3 "a" | touch v5 | set (open) "b"   ->   at v5: "a"; below v9: "a" or "b"
 *
 * A touch writes anew the value that stands, so what it left is one of the values
 * below it: the last that was acknowledged, or one of an open set.
 */
import { AssertionError } from "node:assert";

/** What a Get showed. */
export interface SeenRecord {
  readonly value: Uint8Array;
  readonly version: number;
  /** Undefined: never. */
  readonly expiresAtMs?: number | undefined;
}

/** What a set and a touch say of their expiry; without a ttl they never expire. */
export interface Lifetime {
  readonly ttlMs?: number | undefined;
  /** The ttl is counted by the client, who sends an instant that comes to it when it is rounded up. */
  readonly isInstant?: boolean;
}

/** What a client tries. */
export type Write =
  | ({ readonly kind: "set"; readonly value: Uint8Array } & Lifetime)
  | ({ readonly kind: "touch" } & Lifetime)
  | { readonly kind: "delete" };

/** What an acknowledgement says; version 0: nothing was written, for nothing was there. */
export interface Told {
  readonly version: number;
  readonly expiresAtMs?: number | undefined;
}

/** One write that a client tried. */
export interface Attempt {
  readonly key: string;
  readonly write: Write;
  readonly isSync: boolean;
  /** What was acknowledged under the key when the write was sent. */
  readonly floor: number;
  readonly sentAtMs: number;
  told: Told | undefined;
  wasRefused: boolean;
}

/** A key, and all that may stand under it. */
export interface KeyHistory {
  /** The record that the last restart showed, if any. */
  base: SeenRecord | undefined;
  /** The highest acknowledged or shown version, now and at the last restart. */
  floor: number;
  baseFloor: number;
  /** The attempts since the last restart. */
  attempts: Attempt[];
}

/** Whether nobody knows if it was applied. */
export function isOpen({ told, wasRefused }: Attempt): boolean {
  return told === undefined && !wasRefused;
}

/** The version that it was told; 0: none. */
export function versionOf({ told }: Attempt): number {
  return told?.version ?? 0;
}

/** The values that an acknowledged set or touch may have left. */
export function valuesAt(history: KeyHistory, { write, told }: Attempt): readonly Uint8Array[] {
  if (write.kind === "set") return [write.value];
  return write.kind === "delete" ? [] : valuesBelow(history, told?.version ?? 0);
}

/** The values that may have stood when this version was written: the last that is known, and open ones. */
export function valuesBelow(history: KeyHistory, version: number): readonly Uint8Array[] {
  const below = history.attempts.filter((each) => versionOf(each) > 0 && versionOf(each) < version);
  const last = below.reduce<Attempt | undefined>(
    (found, each) => (found === undefined || versionOf(each) > versionOf(found) ? each : found),
    undefined,
  );
  const open = history.attempts
    .filter(isOpen)
    .flatMap(({ write }) => (write.kind === "set" ? [write.value] : []));
  if (last !== undefined) return [...open, ...valuesAt(history, last)];
  return history.base === undefined ? open : [...open, history.base.value];
}

/** Whether an attempt can have come to this expiry: not before the instant that it asked for. */
export function fitsExpiry({ write, sentAtMs }: Attempt, expiresAtMs: number | undefined): boolean {
  if (write.kind === "delete") return false;
  if (write.ttlMs === undefined || expiresAtMs === undefined) return write.ttlMs === expiresAtMs;
  const earliestMs = sentAtMs + write.ttlMs;
  return write.isInstant === true ? expiresAtMs === earliestMs : expiresAtMs >= earliestMs;
}

/** Whether that instant has come; undefined: never. */
export function isPast(expiresAtMs: number | undefined, nowMs: number): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= nowMs;
}

/** Whether two values are the same bytes. */
export function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

/** Whether one of the values is this one. */
export function some(values: readonly Uint8Array[], value: Uint8Array): boolean {
  return values.some((each) => isSame(each, value));
}

/** Attempts of a key that a finding tells. */
const ATTEMPTS_TOLD = 12;

/** Judges; what a finding says has the key's history behind it. */
export function withHistory(history: KeyHistory, place: string, judge: () => void): void {
  try {
    judge();
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    const { base, baseFloor, attempts } = history;
    const from = base === undefined ? `nothing (${baseFloor})` : tellRecord(base);
    const last = attempts.slice(-ATTEMPTS_TOLD).map(tellAttempt);
    const message = [error.message, place, `it stood at ${from}`, ...last].join("\n  ");
    throw new AssertionError({ message, stackStartFn: withHistory });
  }
}

function tellRecord({ version, expiresAtMs }: SeenRecord | Told): string {
  return `version ${version}${expiresAtMs === undefined ? "" : `, expires ${expiresAtMs}`}`;
}

function tellAttempt({ write, isSync, told, wasRefused, sentAtMs, floor }: Attempt): string {
  const how = `${isSync ? "synced" : "buffered"} ${write.kind} at ${sentAtMs} above ${floor}`;
  return `${how}: ${told === undefined ? (wasRefused ? "refused" : "open") : tellRecord(told)}`;
}
