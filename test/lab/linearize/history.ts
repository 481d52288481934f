/**
 * What clients did and were told, in the one order in which the process that
 * holds all of them saw it: the raw material of the checkers.
 *
 *     operation: called -> answered | of unknown outcome | refused (leaves the history)
 *
 * Places are counted, not timed: each call and each end takes the next whole
 * number. A call takes its place before the request is sent, an end after the
 * answer has come, so that what has ended before another was called really has.
 *
 * A write of unknown outcome may have happened at any time after its call, or
 * never; its end says only when its client gave up. A write that was refused
 * never happened: if its value shows, it is a value that nobody wrote.
 */

/** What had to hold of the key. */
export type Condition =
  | { readonly kind: "absent" }
  | { readonly kind: "present" }
  | { readonly kind: "version"; readonly version: number };

/** A record as an answer showed it. */
export interface Shown {
  readonly value: string;
  readonly version: number;
}

/** What a client was told. */
export interface Answer {
  /** False: the condition was not met. A get is always applied. */
  readonly applied: boolean;
  /** The version that the write was given; 0: nothing was written. */
  readonly version: number;
  /** The record that stood before; null: none did; undefined: the answer does not say. */
  readonly shown: Shown | null | undefined;
  /** The newest version of the store; 0: the answer does not say. */
  readonly storeVersion: number;
}

/** One operation. Values differ from operation to operation. */
export interface Operation {
  readonly client: number;
  readonly key: number;
  readonly kind: "get" | "set" | "delete";
  /** What a set writes. */
  readonly value: string | undefined;
  readonly condition: Condition | undefined;
  readonly calledAt: number;
  /** When its client had an answer, or gave up. */
  readonly endedAt: number;
  /** Undefined: of unknown outcome. */
  readonly answer: Answer | undefined;
}

/** What is to be done. */
export type Intent = Pick<Operation, "client" | "key" | "kind" | "value" | "condition">;

/** An operation under way. */
export interface Call {
  readonly intent: Intent;
  readonly calledAt: number;
}

/** Keeps what happens, in order. */
export class Recorder {
  readonly #operations: Operation[] = [];
  readonly #due = new Map<number, (() => void)[]>();
  #places = 0;
  refusedWrites = 0;

  /** The operations that have ended, in the order of their ends. */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** An operation is about to be sent. */
  call(intent: Intent): Call {
    return { intent, calledAt: this.#next() };
  }

  /** It was answered. */
  answered(call: Call, answer: Answer): void {
    this.#end(call, answer);
  }

  /** Its client gave up, or lost the connection. A get of which nothing is known says nothing. */
  unknown(call: Call): void {
    if (call.intent.kind !== "get") this.#end(call, undefined);
  }

  /** It has not happened, and will not. */
  refused({ intent }: Call): void {
    if (intent.kind !== "get") this.refusedWrites += 1;
  }

  /** Calls `then` when the history is so many places further; returns how to forget it. */
  after(places: number, then: () => void): () => void {
    const at = this.#places + places;
    const list = this.#due.get(at) ?? [];
    list.push(then);
    this.#due.set(at, list);
    return () => {
      const place = list.indexOf(then);
      if (place >= 0) list.splice(place, 1);
    };
  }

  #end({ intent, calledAt }: Call, answer: Answer | undefined): void {
    this.#operations.push({ ...intent, calledAt, endedAt: this.#next(), answer });
  }

  #next(): number {
    const place = this.#places;
    this.#places += 1;
    for (const then of this.#due.get(place) ?? []) then();
    this.#due.delete(place);
    return place;
  }
}

/** The operations of each key. */
export function byKey(operations: readonly Operation[]): Map<number, Operation[]> {
  const keys = new Map<number, Operation[]>();
  for (const operation of operations) {
    const list = keys.get(operation.key) ?? [];
    list.push(operation);
    keys.set(operation.key, list);
  }
  return keys;
}

/** One line: "  4711..4720  client 3  set #17 if absent -> version 12, was #15 (version 11)". */
export function operationLine(operation: Operation): string {
  const { client, kind, value, condition, calledAt, endedAt, answer } = operation;
  const end = answer === undefined ? "" : String(endedAt);
  const what = [kind, ...(value === undefined ? [] : [value]), conditionText(condition)];
  const done = what.filter((word) => word !== "").join(" ");
  return `${String(calledAt).padStart(8)}..${end.padEnd(8)} client ${client}  ${done} -> ${answerText(operation)}`;
}

function conditionText(condition: Condition | undefined): string {
  if (condition === undefined) return "";
  return condition.kind === "version" ? `if version ${condition.version}` : `if ${condition.kind}`;
}

function answerText({ kind, answer }: Operation): string {
  if (answer === undefined) return "outcome unknown";
  const { applied, version, shown } = answer;
  const record = shown === null ? "nothing" : shown && `${shown.value} (version ${shown.version})`;
  if (kind === "get") return record ?? "";
  if (!applied) return `not applied, there is ${record}`;
  const was = record === undefined ? "" : `, was ${record}`;
  return version === 0 ? `nothing to delete${was}` : `version ${version}${was}`;
}
