/** Keys and values as a program has them: bytes as they are, text as UTF-8. */
import { KvixError } from "../base/kvix-error.js";

/** A key or a value: bytes as they are, a string as UTF-8. */
export type Data = Uint8Array | string;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A key or a value as bytes. `field`: what it is, for the error of what is neither. */
export function bytesOf(data: Data, field = "key"): Uint8Array {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new KvixError("FIELD_INVALID", "keys and values are strings or Uint8Arrays", {
    metadata: { field },
  });
}

/** The same, of what may be left out. */
export function optionalBytesOf(data: Data | undefined, field: string): Uint8Array | undefined {
  return data === undefined ? undefined : bytesOf(data, field);
}

/** Bytes as text. Throws NOT_TEXT if they are not UTF-8. */
export function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new KvixError("NOT_TEXT", "", { cause });
  }
}

/** An instant of Unix milliseconds; 0 is none. */
export function dateOf(ms: number): Date | undefined {
  return ms === 0 ? undefined : new Date(ms);
}
