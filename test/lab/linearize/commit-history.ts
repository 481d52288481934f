/**
 * Histories of operations on several keys: what was asked, when, and what it showed or
 * wrote. Times are places in one order of calls and ends.
 *
 * Keys are only written, never deleted, so version 0 stands for the absence of a key
 * before its first write.
 */

/** A version of a key that an operation showed; 0: the key was absent. */
export interface Seen {
  readonly key: number;
  readonly version: number;
}

/** A write: what stands under the key from this version on. */
export interface Written extends Seen {
  readonly value: string;
  /** Of an increment: what was added; undefined: a set. */
  readonly delta: bigint | undefined;
}

/** An operation that was answered, whether at once or when it was repeated. */
export interface ManyKeyOperation {
  readonly name: string;
  readonly calledAt: number;
  readonly endedAt: number;
  /** All of it seen at one point; of a write, right before it. */
  readonly seen: readonly Seen[];
  /** In the order of its mutations; none: it only read, or did not apply. */
  readonly written: readonly Written[];
}

/** An operation as a line for a finding. */
export function manyKeyLine(operation: ManyKeyOperation): string {
  const { name, calledAt, endedAt, seen, written } = operation;
  const saw = seen.map(({ key, version }) => `${key}@${version}`).join(" ");
  const wrote = written.map(({ key, version, value }) => `${key}@${version}=${value}`).join(" ");
  return `[${calledAt}, ${endedAt}] ${name} saw (${saw}) wrote (${wrote})`;
}
