/** What the instrument throws when it has found something. */

/** Something that must not be; the message says what, and where. */
export class RotFinding extends Error {
  override readonly name = "RotFinding";
}

/** Throws what is wrong unless it is so. */
export function require(isSo: boolean, what: string): asserts isSo {
  if (!isSo) throw new RotFinding(what);
}
