/** A mutating call as it was made, and what came of it. */
import type { Condition, Durability, Expiry, StoredRecord } from "../../../src/engine/store.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A key or a value as bytes. */
export const bytesOf = (text: string): Uint8Array => encoder.encode(text);
/** And back. */
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes);

/** What a call wants of one key. */
export type Change =
  | { readonly kind: "set"; readonly key: string; readonly value: string; readonly expiry: Expiry }
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "touch"; readonly key: string; readonly expiry: Expiry };

/** A record as a client sees it. */
export interface Seen {
  readonly value: string;
  readonly version: number;
  readonly expiresAtMs: number;
}

/** A record as the store gives it. */
export function seenOf(record: StoredRecord): Seen {
  const { version, expiresAtMs } = record;
  return { value: textOf(record.value), version, expiresAtMs };
}

/** A record that its client could not be given, though there is one. */
export const unreadable = Symbol("unreadable");

/** What a call was answered. */
export interface Answer {
  readonly applied: boolean;
  /** Of a delete and a touch: whether there was a record; undefined: the versions say it. */
  readonly found: boolean | undefined;
  /** One for each change; 0: it changed nothing. */
  readonly versions: readonly number[];
  /** When what was written expires; undefined: the answer does not say. */
  readonly expiresAtMs: number | undefined;
  readonly previous: Seen | typeof unreadable | undefined;
  readonly current: Seen | undefined;
}

/**
 * "open" until it is answered. "refused": it was not applied, for certain.
 * "unknown": its client was told that nobody knows.
 */
export type Fate = "open" | "answered" | "refused" | "unknown";

/** What is asked for. */
export interface Ask {
  readonly changes: readonly Change[];
  readonly condition?: Condition | undefined;
  readonly returnPrevious?: boolean;
  readonly durability: Durability;
}

/** A call; they are accepted in the order in which they are made. */
export class WriteCall {
  readonly ask: Ask;
  /** Its place in the order of all calls of its life. */
  readonly order: number;
  /** Moments of the wall clock (wall-log.ts): when it was made, and when it was answered. */
  readonly from: number;
  to = Number.POSITIVE_INFINITY;
  fate: Fate = "open";
  answer: Answer | undefined;
  /** It must be there after whatever happens: a client was told so, or has seen it. */
  mustLast = false;

  constructor(ask: Ask, order: number, from: number) {
    this.ask = ask;
    this.order = order;
    this.from = from;
  }

  /** For a finding. */
  toString(): string {
    const { changes, condition, durability } = this.ask;
    const what = changes.map((change) => `${change.kind} ${change.key}`).join(", ");
    const when = condition === undefined ? "" : ` if ${JSON.stringify(condition)}`;
    return `call ${this.order} (${what}${when}, ${durability}, ${this.fate})`;
  }
}
