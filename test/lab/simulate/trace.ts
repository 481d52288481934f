/**
 * One number for all that happened in a run, in order: two runs with the same hash
 * made the same file operations, moved the clock the same way and got the same
 * answers. (Two rounds of 32-bit FNV-1a over different beginnings; words come in as
 * numbers of their own, since a few hundred are told a thousand times each.)
 */

/** Words by their own 32-bit FNV-1a. */
const wordNumbers = new Map<string, number>();
const wordsMax = 10_000;

/** Takes in words and numbers, one after the other. */
export class Trace {
  #one = 0x811c9dc5;
  #other = 0x9747b28c;

  /** Takes in a word. */
  word(text: string): void {
    this.#half(wordNumber(text));
  }

  /** Takes in a number: 53 bits of an integer, or what is before the point. */
  number(value: number): void {
    this.#half(value | 0);
    this.#half(Math.floor(value / 2 ** 32) | 0);
  }

  /** All so far, as 16 hexadecimal digits. */
  get hash(): string {
    return `${hex(this.#one)}${hex(this.#other)}`;
  }

  #half(word: number): void {
    this.#one = Math.imul(this.#one ^ word, 0x01000193);
    this.#other = Math.imul(this.#other ^ ((word << 13) | (word >>> 19)), 0x01000193);
    this.#one ^= this.#one >>> 15;
    this.#other ^= this.#other >>> 13;
  }
}

function wordNumber(text: string): number {
  const known = wordNumbers.get(text);
  if (known !== undefined) return known;
  let number = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    number = Math.imul(number ^ text.charCodeAt(index), 0x01000193);
  }
  if (wordNumbers.size >= wordsMax) wordNumbers.clear();
  wordNumbers.set(text, number);
  return number;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
