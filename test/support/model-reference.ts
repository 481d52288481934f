/** The store as a Map: what every call must answer, in a page. */
import type { StepCondition, StepExpiry } from "./model-steps.js";

/** A record of the model; its version is unknown until its write is answered. */
export interface ModelRecord {
  readonly value: string;
  readonly expiresAtMs: number;
  version: number | undefined;
}

/** What a write must answer. */
export interface ModelAnswer {
  readonly applied: boolean;
  readonly deleted: boolean;
  /** The record that was replaced or removed, or that stood in the way. */
  readonly standing: ModelRecord | undefined;
  /** The record written. */
  readonly written: ModelRecord | undefined;
}

/** Records by key, expired ones among them. */
export class ModelReference {
  readonly records = new Map<string, ModelRecord>();

  /** The record that a reader sees. */
  visible(key: string, nowMs: number): ModelRecord | undefined {
    const record = this.records.get(key);
    if (record === undefined) return undefined;
    return record.expiresAtMs !== 0 && nowMs >= record.expiresAtMs ? undefined : record;
  }

  set(
    key: string,
    value: string,
    expiry: StepExpiry,
    condition: StepCondition,
    nowMs: number,
  ): ModelAnswer {
    const standing = this.visible(key, nowMs);
    if (!isMet(condition, standing)) return unmet(standing);
    const written = { value, expiresAtMs: deadline(expiry, standing, nowMs), version: undefined };
    this.records.set(key, written);
    return { applied: true, deleted: false, standing, written };
  }

  /** The record that stands, with another expiry; `deleted` says nothing here. */
  touch(key: string, expiry: StepExpiry, condition: StepCondition, nowMs: number): ModelAnswer {
    const standing = this.visible(key, nowMs);
    if (!isMet(condition, standing)) return unmet(standing);
    if (standing === undefined) {
      return { applied: true, deleted: false, standing, written: undefined };
    }
    const expiresAtMs = expiry.kind === "keep" ? 0 : deadline(expiry, standing, nowMs);
    const written = { value: standing.value, expiresAtMs, version: undefined };
    this.records.set(key, written);
    return { applied: true, deleted: false, standing, written };
  }

  /** The visible keys of a range, in order. */
  keys(from: string, to: string, nowMs: number): string[] {
    return [...this.records.keys()]
      .filter((key) => this.visible(key, nowMs) !== undefined)
      .filter((key) => key >= from && (to === "" || key < to))
      .sort();
  }

  delete(key: string, condition: StepCondition, nowMs: number): ModelAnswer {
    const standing = this.visible(key, nowMs);
    if (!isMet(condition, standing)) return unmet(standing);
    this.records.delete(key);
    return { applied: true, deleted: standing !== undefined, standing, written: undefined };
  }
}

function unmet(standing: ModelRecord | undefined): ModelAnswer {
  return { applied: false, deleted: false, standing, written: undefined };
}

function isMet(condition: StepCondition, standing: ModelRecord | undefined): boolean {
  switch (condition) {
    case "none":
      return true;
    case "absent":
      return standing === undefined;
    case "present":
      return standing !== undefined;
    case "current":
      // A version that is not known yet cannot have been asked for.
      return standing?.version !== undefined;
    case "stale":
      return false;
  }
}

function deadline(expiry: StepExpiry, standing: ModelRecord | undefined, nowMs: number): number {
  if (expiry.kind === "never") return 0;
  if (expiry.kind === "keep") return standing?.expiresAtMs ?? 0;
  return Math.max(1, nowMs + expiry.ms);
}
