/**
 * Random keys of 16 bytes for the index benches, made from their number: twenty
 * million of them would otherwise take a third of a gigabyte beside the index.
 */

/** The length of every key, in bytes. */
export const keyBytes = 16;

/** A number from the environment, at least 1, or the default. */
export function sizeFrom(name: string, byDefault: number): number {
  const text = process.env[name];
  const size = text === undefined ? byDefault : Number(text);
  if (!Number.isSafeInteger(size) || size < 1) throw new Error(`${name} is not a size: ${text}`);
  return size;
}

/** A reversible mix of 32 bits: equal outputs mean equal inputs. */
function mix(word: number): number {
  let mixed = word;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return mixed ^ (mixed >>> 15);
}

/** Writes key `number`, below 2^32, at word `at` of `words`; four words. */
export function writeKey(words: Int32Array, at: number, number: number): void {
  const first = mix(number ^ 0x2545f491);
  words[at] = first;
  words[at + 1] = mix(number + 0x6c078965);
  words[at + 2] = mix(first + 0x1b873593);
  words[at + 3] = mix(first ^ number);
}
