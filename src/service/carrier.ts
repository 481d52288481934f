/** What tells KvService and KvTextService apart: which bytes their messages can carry. */

/** What the messages of a service can carry. */
export interface Carrier {
  /** Throws FIELD_INVALID if a request may not bear these bytes in this field. */
  check(field: "key" | "value" | "prefix" | "start" | "end", bytes: Uint8Array): void;
  /** Whether an answer can bear this key or value. */
  carries(bytes: Uint8Array): boolean;
}

/** KvService carries any bytes. */
export const bytesCarrier: Carrier = { check: () => undefined, carries: () => true };
