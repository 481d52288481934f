/** What the instrument throws when it has found something. */

/** Something that must not be; the message says what, and where. */
export class RotFinding extends Error {
  override readonly name = "RotFinding";
}
