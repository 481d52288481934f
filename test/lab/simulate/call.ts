/** A mutating call as it was made, and what came of it. */
import type { Reason } from "../../../src/base/error-catalogue.js";
import type {
  Condition,
  Durability,
  Expiry,
  StoredRecord,
  TouchExpiry,
} from "../../../src/engine/store.js";

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
  | { readonly kind: "touch"; readonly key: string; readonly expiry: TouchExpiry }
  | {
      readonly kind: "increment";
      readonly key: string;
      readonly delta: bigint;
      readonly initial: bigint;
      readonly expiry: Expiry;
    };

/** What must hold of a key, or the call changes nothing. */
export interface KeyDemand {
  readonly key: string;
  readonly condition: Condition;
}

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

/** What a call made of one key. */
export interface ChangeResult {
  /** 0: it changed nothing. */
  readonly version: number;
  /** Of a delete and a touch: whether there was a record; undefined: the version says it. */
  readonly found: boolean | undefined;
  /** When what was written expires; 0: never, or nothing was written. */
  readonly expiresAtMs: number;
  /** Of an increment: the number. */
  readonly number?: bigint;
}

/** A demand that was not met, and the record that stands; with a version alone if it was left out. */
export interface Unmet {
  readonly index: number;
  readonly current: Seen | number | undefined;
}

/** What a call was answered. */
export interface Answer {
  readonly applied: boolean;
  /** One for each change; of a repeat, those of the first. */
  readonly results: readonly ChangeResult[];
  readonly unmet: readonly Unmet[];
  readonly previous: Seen | typeof unreadable | undefined;
  /** The request was known: it has changed nothing. */
  readonly isRepeat?: boolean;
}

/** The version that a change has written; 0: none. */
export function writtenBy(answer: Answer | undefined, index: number): number {
  if (answer?.isRepeat === true) return 0;
  return answer?.results[index]?.version ?? 0;
}

/** The newest version that a call has written; 0: none. */
export function newestOf(answer: Answer | undefined): number {
  const results = answer?.isRepeat === true ? [] : (answer?.results ?? []);
  return results.reduce((newest, { version }) => Math.max(newest, version), 0);
}

/** What names a request, and tells it from another under the same name. */
export interface RequestName {
  readonly id: string;
  readonly digest: string;
}

/**
 * "open" until it is answered. "refused": it was not applied, for certain.
 * "unknown": its client was told that nobody knows.
 */
export type Fate = "open" | "answered" | "refused" | "unknown";

/** What is asked for. */
export interface Ask {
  readonly changes: readonly Change[];
  readonly demands: readonly KeyDemand[];
  readonly request?: RequestName | undefined;
  /** It was asked before, under this name. */
  readonly isRepeat?: boolean;
  readonly returnPrevious?: boolean;
  readonly durability: Durability;
}

/** When an answer was heard: what the store remembers of old requests depends on it. */
export interface Heard {
  /** The history of the store is complete above this version. */
  readonly floor: number;
  readonly monotonicMs: number;
  /** Of this life, a compaction takes no request that is younger. */
  readonly windowMs: number;
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
  heard: Heard | undefined;
  /** Why it was refused. */
  reason: Reason | undefined;
  /** It must be there after whatever happens: a client was told so, or has seen it. */
  mustLast = false;

  constructor(ask: Ask, order: number, from: number) {
    this.ask = ask;
    this.order = order;
    this.from = from;
  }

  /** For a finding. */
  toString(): string {
    const { changes, demands, request, durability } = this.ask;
    const what = changes.map((change) => `${change.kind} ${change.key}`).join(", ");
    const when = demands.length === 0 ? "" : ` if ${JSON.stringify(demands)}`;
    const name = request === undefined ? "" : ` as ${request.id}`;
    return `call ${this.order} (${what}${when}${name}, ${durability}, ${this.fate})`;
  }
}
