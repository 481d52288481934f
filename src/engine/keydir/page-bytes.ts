/** What saving and restoring pages have in common. */

/** The bytes of a page, as they lie. */
export function bytesOf(page: Int32Array | Uint32Array | Float64Array): Uint8Array {
  return new Uint8Array(page.buffer, page.byteOffset, page.byteLength);
}

/** Appends numbers, however many: a spread puts them all on the stack. */
export function append(target: number[], source: readonly number[]): void {
  for (const number of source) target.push(number);
}
