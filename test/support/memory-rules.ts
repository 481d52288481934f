/** What a MemoryStore knows of commits without the code of the engine. */
import { KvixError } from "../../src/base/kvix-error.js";
import type { Mutation } from "../../src/engine/store.js";

/** Throws FIELD_INVALID if two of them have the same key. */
export function requireDistinct(
  field: string,
  entries: readonly { readonly key: Uint8Array }[],
): void {
  const names = new Set(entries.map(({ key }) => Buffer.from(key).toString("latin1")));
  if (names.size < entries.length) {
    throw new KvixError("FIELD_INVALID", `${field} must name each key once`);
  }
}

/** The sum; throws NOT_A_NUMBER or NUMBER_OVERFLOW. */
export function added(
  { initial, delta }: Extract<Mutation, { kind: "increment" }>,
  standing: { readonly value: Uint8Array } | undefined,
  field: string,
): bigint {
  const text = standing && Buffer.from(standing.value).toString("latin1");
  const isBad = text !== undefined && !/^-?[0-9]{1,19}$/.test(text);
  const before = isBad ? undefined : text === undefined ? initial : BigInt(text);
  const isNumber = text === undefined || before?.toString() === text;
  if (before === undefined || !isNumber || BigInt.asIntN(64, before) !== before) {
    throw new KvixError("NOT_A_NUMBER", "", { metadata: { field } });
  }
  const sum = before + delta;
  if (BigInt.asIntN(64, sum) === sum) return sum;
  throw new KvixError("NUMBER_OVERFLOW", "", { metadata: { field } });
}
