/**
 * What a read must have seen: for every key that it tells of, exactly what stood at the
 * version that was published when it looked.
 */
import { strict as assert } from "node:assert";
import { type Seen, unreadable, type WriteCall } from "./call.js";
import { isOf, type KeyStates } from "./key-states.js";
import { shown } from "./write-model.js";

/** What a read found of a key; undefined: nothing. */
export type Found = Seen | typeof unreadable | undefined;

/** What a read saw. */
export interface Look {
  /** For a finding. */
  readonly what: string;
  /** What it shows was published by this version, and nothing newer. */
  readonly version: number;
  /** Moments of the wall clock in which it looked. */
  readonly from: number;
  readonly to: number;
  /** Which keys it tells of. */
  readonly covers: (key: string) => boolean;
  readonly found: ReadonlyMap<string, Found>;
  /** It tells only whether there are records, with their versions. */
  readonly isWithoutValues?: boolean;
  /** Of these keys alone it tells no more than that. */
  readonly bare?: ReadonlySet<string>;
}

/** Judges a look; `open`: calls of which it is not known whether they were made, and when. */
export function judgeLook(look: Look, states: KeyStates, open: readonly WriteCall[]): void {
  for (const key of look.found.keys()) judgeKey(look, key, states, open);
  for (const key of states.keys) {
    if (look.covers(key) && !look.found.has(key)) judgeKey(look, key, states, open);
  }
}

function judgeKey(look: Look, key: string, states: KeyStates, open: readonly WriteCall[]): void {
  const { what, version, from, to, found, bare } = look;
  const isWithoutValues = look.isWithoutValues === true || bare?.has(key) === true;
  const told = found.get(key);
  const entry = states.at(key, version);
  if (told === unreadable) {
    assert.ok(entry?.isDamaged, `${what}: ${key} is sound, and is called damaged`);
    return;
  }
  const isSeen = states.visibility(entry, from, to);
  const isRight =
    told === undefined
      ? isSeen !== "yes"
      : isSeen !== "no" &&
        entry !== undefined &&
        (isWithoutValues ? entry.version === told.version : isOf(entry, told));
  if (isRight || open.some((call) => mayHaveDone(call, key, told))) return;
  assert.fail(
    `${what} at version ${version}: ${key} is ${shown(told)}, it must be ${shown(entry)} (${isSeen})`,
  );
}

/** Whether a call that was never answered can have left that. */
function mayHaveDone({ ask }: WriteCall, key: string, told: Seen | undefined): boolean {
  return ask.changes.some((change) => {
    if (change.key !== key) return false;
    if (change.kind === "set") return change.value === told?.value;
    return change.kind !== "delete" || told === undefined;
  });
}
