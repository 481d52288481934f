/** What a write may ask for, beside its key and value. Each fault names its field and range. */
import { KvixError } from "../base/kvix-error.js";
import {
  BATCH_MUTATIONS_MAX,
  EXPIRES_AT_MS_MAX,
  KEY_BYTES_MAX,
  VALUE_BYTES_MAX,
  VERSION_MAX,
} from "../base/limits.js";
import type { Condition, Expiry, Mutation } from "./store.js";

/** Throws FIELD_INVALID for a number that is not whole or lies outside its range. */
export function requireWhole(field: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw fieldInvalid(field, `must be a whole number from ${min} to ${max}`);
}

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

/** Throws KEY_EMPTY or KEY_TOO_LARGE. */
export function requireKey(key: Uint8Array): void {
  if (key.length === 0) throw new KvixError("KEY_EMPTY");
  if (key.length > KEY_BYTES_MAX) {
    throw new KvixError("KEY_TOO_LARGE", `${key.length} bytes`, {
      metadata: { key_bytes: key.length },
    });
  }
}

/** Throws VALUE_TOO_LARGE. */
export function requireValue(value: Uint8Array): void {
  if (value.length > VALUE_BYTES_MAX) {
    throw new KvixError("VALUE_TOO_LARGE", `${value.length} bytes`, {
      metadata: { value_bytes: value.length },
    });
  }
}

/** Throws VALUE_TOO_LARGE, or FIELD_INVALID for what is no length. */
export function requireValueBytes(valueBytes: number): void {
  requireWhole("valueBytes", valueBytes, 0, Number.MAX_SAFE_INTEGER);
  if (valueBytes <= VALUE_BYTES_MAX) return;
  throw new KvixError("VALUE_TOO_LARGE", `${valueBytes} bytes`, {
    metadata: { value_bytes: valueBytes },
  });
}

/** Throws for a batch, or a member of one, outside its limits; answers the bytes of all members. */
export function requireMutations(mutations: readonly Mutation[]): number {
  if (mutations.length === 0 || mutations.length > BATCH_MUTATIONS_MAX) {
    throw new KvixError(
      "BATCH_TOO_LARGE",
      `${mutations.length} mutations; 1 to ${BATCH_MUTATIONS_MAX}`,
    );
  }
  let bytes = 0;
  for (const mutation of mutations) {
    requireKey(mutation.key);
    bytes += mutation.key.length;
    if (mutation.kind === "set") {
      requireValue(mutation.value);
      if (mutation.expiry !== undefined) requireExpiry(mutation.expiry);
      bytes += mutation.value.length;
    }
  }
  return bytes;
}
