/** What a program asks, as the messages of KvService. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  Durability as DurabilityField,
  type PreconditionSchema,
  type SetRequestSchema,
  type TouchRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../base/limits.js";
import {
  type ConditionOptions,
  conditionOf,
  type Durability,
  type Expiry,
  type TouchExpiry,
} from "../kv/writes.js";

type SetExpiryField = NonNullable<Fields<typeof SetRequestSchema>["expiry"]>;
type TouchExpiryField = NonNullable<Fields<typeof TouchRequestSchema>["expiry"]>;
/** What a message may be made of, without a message that is made already. */
type Fields<Schema extends typeof SetRequestSchema | typeof TouchRequestSchema> = Exclude<
  MessageInitShape<Schema>,
  { $unknown?: unknown[] } & { $typeName: string }
>;

/** The precondition of a write. */
export function preconditionField(
  options: ConditionOptions,
): MessageInitShape<typeof PreconditionSchema> | undefined {
  const condition = conditionOf(options);
  switch (condition?.kind) {
    case "absent":
    case "present":
      return { condition: { case: condition.kind, value: true } };
    case "version":
      return { condition: { case: "version", value: versionField(condition.version) } };
    default:
      return undefined;
  }
}

/** The expiry of a set. */
export function setExpiryField(expiry: Expiry): SetExpiryField {
  switch (expiry.kind) {
    case "never":
      return { case: undefined };
    case "keep":
      return { case: "keepTtl", value: true };
    default:
      return instantField(expiry);
  }
}

/** The expiry of a touch or an increment; undefined: none is given. */
export function touchExpiryField(expiry: TouchExpiry | undefined): TouchExpiryField {
  if (expiry === undefined) return { case: undefined };
  return expiry.kind === "never" ? { case: "persist", value: true } : instantField(expiry);
}

/** The durability of a write. */
export function durabilityField(durability: Durability | undefined): DurabilityField {
  switch (durability) {
    case undefined:
      return DurabilityField.UNSPECIFIED;
    case "sync":
      return DurabilityField.SYNC;
    case "buffered":
      return DurabilityField.BUFFERED;
    default:
      throw invalid("durability", '"sync" or "buffered"');
  }
}

/** A version as the wire has it. Throws FIELD_INVALID outside 0 (or 1) to 2^48 - 1. */
export function versionField(version: number, field = "precondition.version", min = 1): bigint {
  if (Number.isSafeInteger(version) && version >= min && version <= VERSION_MAX) {
    return BigInt(version);
  }
  throw invalid(field, `from ${min} to ${VERSION_MAX}`);
}

/** The error for what no message can carry. */
export function invalid(field: string, range: string): KvixError {
  return new KvixError("FIELD_INVALID", `${field} must be ${range}`, {
    metadata: { field, range },
  });
}

function instantField(expiry: Extract<Expiry, { kind: "ttl" | "at" }>) {
  if (expiry.kind === "ttl") {
    const ttlMs = Math.ceil(expiry.ttlMs);
    if (ttlMs > 0 && ttlMs <= EXPIRES_AT_MS_MAX) {
      return { case: "ttl", value: durationFromMs(ttlMs) } as const;
    }
    throw invalid("ttl", "more than zero, and end by 9999-12-31T23:59:59.999Z");
  }
  const atMs = Math.ceil(expiry.atMs);
  // What lies before the year 1 is for the server to refuse; a Timestamp can bear it.
  if (Math.abs(atMs) <= EXPIRES_AT_MS_MAX) {
    return { case: "expireTime", value: timestampFromMs(atMs) } as const;
  }
  throw invalid("expire_time", "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z");
}
