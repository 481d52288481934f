/**
 * No key and no value is told by an error or a line of the log (V12). Those of a seed are made
 * of letters that nothing else has, so that a look at what is told is enough.
 */
import { strict as assert } from "node:assert";

/** What keys are made of: in order, as their bytes are. */
export const letters = "αβγδεζηθικλμνξοπ";
/** Stands in every value that is no number. */
export const valueMark = "Ω";

const secret = /[\u0370-\u03ff]/;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Asserts that a thing shows nothing of a key or a value, however deep. */
export function requireSilence(thing: unknown, what: string): void {
  for (const text of textsIn(thing, new Set())) {
    assert.ok(!secret.test(text), `V12: ${what} tells a key or a value: ${text.slice(0, 200)}`);
  }
}

function* textsIn(thing: unknown, seen: Set<unknown>): Generator<string> {
  if (typeof thing === "string") yield thing;
  if (typeof thing !== "object" || thing === null || seen.has(thing)) return;
  seen.add(thing);
  if (thing instanceof Uint8Array) {
    yield textOrNothing(thing);
    return;
  }
  if (thing instanceof Map || thing instanceof Set) yield* textsIn([...thing], seen);
  // Of an error also what is not enumerable: message, stack, cause.
  for (const name of Object.getOwnPropertyNames(thing)) {
    yield name;
    yield* textsIn((thing as Record<string, unknown>)[name], seen);
  }
}

function textOrNothing(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return "";
  }
}
