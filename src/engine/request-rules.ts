/** What a write may ask for, beside its key and value. Each fault names its field and range. */

import { KvixError } from "../base/kvix-error.js";
import {
  BATCH_MUTATIONS_MAX,
  EXPIRES_AT_MS_MAX,
  KEY_BYTES_MAX,
  REQUEST_ID_BYTES_MAX,
  REQUEST_ID_BYTES_MIN,
  VALUE_BYTES_MAX,
  VERSION_MAX,
} from "../base/limits.js";
import { isNumber, NUMBER_MAX, NUMBER_MIN } from "../format/number-text.js";
import { PLACES_PER_RECORD } from "../format/plain-frames.js";
import { type SetRun, setRunBytes } from "./set-run.js";
import type { Condition, Expiry, KeyCondition, Mutation } from "./store.js";

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
  requireKeyBytes(key.length);
}

/** Throws KEY_EMPTY or KEY_TOO_LARGE for the length of a key. */
export function requireKeyBytes(keyBytes: number): void {
  if (keyBytes === 0) throw new KvixError("KEY_EMPTY", "", { metadata: { field: "key" } });
  if (keyBytes > KEY_BYTES_MAX) {
    throw new KvixError("KEY_TOO_LARGE", `${keyBytes} bytes`, {
      metadata: { field: "key", key_bytes: keyBytes },
    });
  }
}

/**
 * The bytes of a run. Throws KEY_EMPTY and KEY_TOO_LARGE for a key outside its limits; a
 * run longer than `bytesMax` is a defect of the caller.
 */
export function requireSetRun({ places }: SetRun, bytesMax: number): number {
  let bytes = 0;
  for (let at = 0; at < places.length; at += PLACES_PER_RECORD) {
    const keyBytes = (places[at + 1] as number) - (places[at] as number);
    const valueBytes = (places[at + 3] as number) - (places[at + 2] as number);
    requireKeyBytes(keyBytes);
    bytes += setRunBytes(keyBytes, valueBytes);
  }
  if (bytes > bytesMax) throw new Error("a run of sets is too long");
  return bytes;
}

/** Throws VALUE_TOO_LARGE. */
export function requireValue(value: Uint8Array): void {
  if (value.length > VALUE_BYTES_MAX) {
    throw new KvixError("VALUE_TOO_LARGE", `${value.length} bytes`, {
      metadata: { field: "value", value_bytes: value.length },
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

/** Throws FIELD_INVALID for an id of a request outside its limits. */
export function requireRequestId(requestId: Uint8Array): void {
  const { length } = requestId;
  if (length >= REQUEST_ID_BYTES_MIN && length <= REQUEST_ID_BYTES_MAX) return;
  const range = `${REQUEST_ID_BYTES_MIN} to ${REQUEST_ID_BYTES_MAX} bytes`;
  throw fieldInvalid("request_id", `must have ${range}, or be left out`);
}

/** Throws FIELD_INVALID for a number that has not 64 bits. */
export function requireNumber(field: string, number: bigint): void {
  if (isNumber(number)) return;
  throw fieldInvalid(field, `must be from ${NUMBER_MIN} to ${NUMBER_MAX}`);
}

/** Throws for conditions outside their limits; answers the bytes of their keys. */
export function requireConditions(conditions: readonly KeyCondition[]): number {
  if (conditions.length > BATCH_MUTATIONS_MAX) {
    throw fieldInvalid("conditions", `must be at most ${BATCH_MUTATIONS_MAX}`);
  }
  let bytes = 0;
  for (const [index, { key, condition }] of conditions.entries()) {
    inField(`conditions[${index}].`, () => {
      requireKey(key);
      requireVersion(condition);
    });
    bytes += key.length;
  }
  return bytes;
}

/** Throws for mutations, or one of them, outside their limits; answers the bytes of all. */
export function requireMutations(mutations: readonly Mutation[]): number {
  if (mutations.length > BATCH_MUTATIONS_MAX) {
    throw new KvixError("BATCH_TOO_LARGE", `more than ${BATCH_MUTATIONS_MAX} mutations`, {
      metadata: { field: "mutations", range: `at most ${BATCH_MUTATIONS_MAX}` },
    });
  }
  let bytes = 0;
  for (const [index, mutation] of mutations.entries()) {
    bytes += inField(`mutations[${index}].${mutation.kind}.`, () => requireMutation(mutation));
  }
  return bytes;
}

function requireMutation(mutation: Mutation): number {
  requireKey(mutation.key);
  if (mutation.kind === "delete") return mutation.key.length;
  if (mutation.expiry !== undefined) requireExpiry(mutation.expiry);
  if (mutation.kind === "increment") {
    requireNumber("delta", mutation.delta);
    requireNumber("initial", mutation.initial);
  }
  if (mutation.kind !== "set") return mutation.key.length;
  requireValue(mutation.value);
  return mutation.key.length + mutation.value.length;
}

/** Runs `check`; what it throws of a field is of that field behind `prefix`, which ends with a dot. */
export function inField<Result>(prefix: string, check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof KvixError) || prefix === "") throw error;
    const { reason, metadata, detail, outcome } = error;
    const { field: inner } = metadata;
    const field = inner === undefined ? prefix.replace(/\.$/, "") : `${prefix}${inner}`;
    // The detail of a wrong field begins with its name.
    const said = reason === "FIELD_INVALID" ? `${prefix}${detail}` : `${field}: ${detail}`;
    throw new KvixError(reason, detail === "" ? field : said, {
      metadata: { ...metadata, field },
      outcome,
    });
  }
}
