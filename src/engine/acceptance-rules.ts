/** What acceptance decides by: pure questions about what stands. */
import { KvixError } from "../base/kvix-error.js";
import { EXPIRES_AT_MS_MAX } from "../base/limits.js";
import type { AcceptedKey } from "./accepted-state.js";
import type { Condition, Expiry, Mutation } from "./store.js";

/** Stands for what was not looked at. */
export const UNSEEN: AcceptedKey = {
  exists: false,
  isVisible: false,
  version: 0,
  expiresAtMs: 0,
  place: undefined,
  isIndexed: false,
};

/** Whether a mutation does the same whatever stands. */
export function isBlind(mutation: Mutation): boolean {
  return mutation.kind === "set" && mutation.expiry?.kind !== "keep";
}

/** Whether a condition holds of what stands. */
export function isMet(condition: Condition | undefined, standing: AcceptedKey): boolean {
  switch (condition?.kind) {
    case undefined:
      return true;
    case "absent":
      return !standing.isVisible;
    case "present":
      return standing.isVisible;
    case "version":
      return standing.isVisible && standing.version === condition.version;
  }
}

/** The instant a record expires, in Unix milliseconds; 0: never. One in the past is kept as 1 or more. */
export function resolveExpiry(expiry: Expiry, standing: AcceptedKey, nowMs: number): number {
  switch (expiry.kind) {
    case "never":
      return 0;
    case "keep":
      return standing.isVisible ? standing.expiresAtMs : 0;
    case "at":
      return Math.max(1, Math.ceil(expiry.atMs));
    case "ttl": {
      const atMs = nowMs + Math.ceil(expiry.ttlMs);
      if (atMs > EXPIRES_AT_MS_MAX) {
        throw new KvixError("FIELD_INVALID", "ttl reaches beyond the year 9999", {
          metadata: { field: "ttl" },
        });
      }
      return Math.max(1, atMs);
    }
  }
}
