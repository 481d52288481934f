/** What a write may ask for, beside its key and value. Each fault names its field and range. */
import { KvixError } from "../base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../base/limits.js";
import type { Condition, Expiry } from "./store.js";

function fieldInvalid(field: string, detail: string): KvixError {
  return new KvixError("FIELD_INVALID", `${field} ${detail}`, { metadata: { field } });
}

/** Throws FIELD_INVALID for an expiry that no record can have. */
export function requireExpiry(expiry: Expiry): void {
  if (expiry.kind === "ttl") {
    const { ttlMs } = expiry;
    if (!(ttlMs > 0 && ttlMs <= EXPIRES_AT_MS_MAX)) {
      throw fieldInvalid("ttl", `must be more than 0 and at most ${EXPIRES_AT_MS_MAX} ms`);
    }
  }
  if (expiry.kind === "at") {
    const { atMs } = expiry;
    if (!(atMs >= -EXPIRES_AT_MS_MAX && atMs <= EXPIRES_AT_MS_MAX)) {
      throw fieldInvalid("expire_time", "must lie in the years 1 to 9999");
    }
  }
}

/** Throws FIELD_INVALID for a version that no record has. */
export function requireVersion(condition: Condition | undefined): void {
  if (condition?.kind !== "version") return;
  const { version } = condition;
  if (!(Number.isInteger(version) && version >= 1 && version <= VERSION_MAX)) {
    throw fieldInvalid("precondition.version", `must be from 1 to ${VERSION_MAX}`);
  }
}
