/**
 * The fields of one condition or mutation of a commit's file. Every field is read once;
 * what is left at the end is a fault. All faults are UsageErrors that begin with the
 * object's place.
 */
import { KEY_BYTES_MAX, VALUE_BYTES_MAX, VERSION_MAX } from "../base/limits.js";
import { type ByteFormat, parseByteText } from "./byte-text.js";
import { INT64_RANGE, type Instant, parseInstant, parseInt64 } from "./quantity.js";
import { UsageError } from "./usage-error.js";
import { instantRange, parseTtl, ttlRange } from "./write-flags.js";

/** What a mutation does, as the file calls it. */
export type MutationOp = "set" | "delete" | "touch" | "increment";

const OPS: readonly string[] = ["if", "set", "delete", "touch", "increment"];
const FORMATS: readonly (readonly [string, ByteFormat])[] = [
  ["", "text"],
  ["Hex", "hex"],
  ["Base64", "base64"],
];

type Expiry<Own extends string> =
  | { readonly case: "ttl" | "expireTime"; readonly value: Instant }
  | { readonly case: Own; readonly value: boolean };

type Condition =
  | { readonly case: "absent" | "present"; readonly value: boolean }
  | { readonly case: "version"; readonly value: bigint };

/** The fields of a value of JSON; throws if it is no object. */
export function fieldsOf(place: string, value: unknown): CommitFields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return new CommitFields(place, new Map(Object.entries(value)));
  }
  throw new UsageError([{ option: place, problem: "is no JSON object" }]);
}

/** Reads the fields of an object. */
export class CommitFields {
  readonly #place: string;
  readonly #fields: Map<string, unknown>;

  constructor(place: string, fields: Map<string, unknown>) {
    this.#place = place;
    this.#fields = fields;
  }

  op(): MutationOp | "if" {
    const op = this.#take("op");
    if (typeof op === "string" && OPS.includes(op)) return op as MutationOp | "if";
    throw this.#fault("op", op, `one of ${OPS.join(", ")}`);
  }

  key(): Uint8Array {
    const key = this.#bytes("key");
    if (key.length > 0 && key.length <= KEY_BYTES_MAX) return key;
    const problem = `key has ${key.length} bytes; it must have 1 to ${KEY_BYTES_MAX}`;
    throw new UsageError([{ option: this.#place, problem }]);
  }

  value(): Uint8Array {
    const value = this.#bytes("value");
    if (value.length <= VALUE_BYTES_MAX) return value;
    const problem = `value has ${value.length} bytes; it may have ${VALUE_BYTES_MAX}`;
    throw new UsageError([{ option: this.#place, problem }]);
  }

  /** What must hold of the key: absent, present or a version. */
  condition(): Condition {
    const name = this.#only(["absent", "present", "version"]);
    const value = this.#take(name ?? "");
    switch (name) {
      case "absent":
      case "present":
        if (value === true) return { case: name, value };
        throw this.#fault(name, value, "true");
      case "version":
        if (typeof value === "number" && Number.isInteger(value) && value >= 1) {
          if (value <= VERSION_MAX) return { case: name, value: BigInt(value) };
        }
        throw this.#fault(name, value, `a whole number from 1 to ${VERSION_MAX}`);
      default:
        throw this.#missing("absent, present or version");
    }
  }

  /** When the record expires; `own`: the operation's third way. Undefined: it does not say. */
  expiry<Own extends "keepTtl" | "persist">(own: Own): Expiry<Own> | undefined {
    const name = this.#only(["ttl", "expireTime", own]);
    if (name === undefined) return undefined;
    const value = this.#take(name);
    if (name === own) {
      if (value === true) return { case: own, value };
      throw this.#fault(name, value, "true");
    }
    const text = typeof value === "string" ? value : "";
    const isTtl = name === "ttl";
    const instant = isTtl ? parseTtl(text) : parseInstant(text);
    if (instant === undefined) throw this.#fault(name, value, isTtl ? ttlRange : instantRange);
    return { case: isTtl ? "ttl" : "expireTime", value: instant };
  }

  /** The same where it must be said. */
  touchExpiry(): Expiry<"persist"> {
    const expiry = this.expiry("persist");
    if (expiry === undefined) throw this.#missing("ttl, expireTime or persist");
    return expiry;
  }

  /** A number of 64 bits: a number of JSON, or text where doubles would round it. */
  number(name: string, missing: bigint): bigint {
    const value = this.#take(name);
    if (value === undefined) return missing;
    if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
    const number = typeof value === "string" ? parseInt64(value) : undefined;
    if (number !== undefined) return number;
    throw this.#fault(name, value, `${INT64_RANGE}; as text if it is beyond 2^53`);
  }

  /** Throws if there is a field that nobody has read. */
  end(): void {
    if (this.#fields.size === 0) return;
    const names = [...this.#fields.keys()].map((name) => JSON.stringify(name)).join(", ");
    throw new UsageError([{ option: this.#place, problem: `has fields that are none: ${names}` }]);
  }

  #bytes(name: string): Uint8Array {
    const forms = FORMATS.map(([suffix]) => `${name}${suffix}`);
    const given = this.#only(forms);
    const format = FORMATS[forms.indexOf(given ?? "")]?.[1];
    const text = this.#take(given ?? "");
    if (given === undefined || format === undefined) throw this.#missing(forms.join(" or "));
    if (typeof text !== "string") throw this.#fault(given, text, "text");
    return parseByteText(text, format, `${this.#place}: ${given}`);
  }

  /** The one of the fields that is there; throws if there are several. */
  #only(names: readonly string[]): string | undefined {
    const given = names.filter((name) => this.#fields.has(name));
    if (given.length <= 1) return given[0];
    const problem = `${given[0]} does not go together with ${given.slice(1).join(" and ")}`;
    throw new UsageError([{ option: this.#place, problem }]);
  }

  #take(name: string): unknown {
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    return value;
  }

  #missing(what: string): UsageError {
    return new UsageError([{ option: this.#place, problem: `lacks ${what}` }]);
  }

  #fault(name: string, value: unknown, range: string): UsageError {
    const shown = value === undefined ? "missing" : JSON.stringify(value);
    const problem = `${name} is ${shown}; it must be ${range}`;
    return new UsageError([{ option: this.#place, problem }]);
  }
}
