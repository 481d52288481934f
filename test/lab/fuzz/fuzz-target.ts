/** What a decoder is to the fuzzer, and what the fuzzer says when it found something. */

/** A decoder under test. */
export interface FuzzTarget {
  readonly name: string;
  /** What it decodes, and what is asked of it each time. */
  readonly sentence: string;
  /** Inputs are kept to so many bytes. */
  readonly lengthMax: number;
  /** Executions in one run: more of those that are quick. */
  readonly executions: number;
  /** Sound inputs, to begin with. */
  seeds(): readonly Uint8Array[];
  /** Makes the checksums of an input right, in place, so that what lies behind them is reached. */
  seal?(bytes: Uint8Array): void;
  /** Throws FuzzFinding, or whatever the decoder should not have thrown. */
  execute(bytes: Uint8Array): undefined | Promise<void>;
  close?(): Promise<void>;
}

/** Something that must not be. */
export class FuzzFinding extends Error {
  override readonly name = "FuzzFinding";
}

/** Throws FuzzFinding unless it is so. */
export function requireThat(isSo: boolean, what: string): asserts isSo {
  if (!isSo) throw new FuzzFinding(what);
}

/** Whether both are the same bytes. */
export function areSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && Buffer.compare(one, other) === 0;
}

/**
 * The input twice in larger memory, with other bytes around it: a decoder that
 * looks past its bounds answers differently. Answers where it starts in both.
 */
export function surrounded(bytes: Uint8Array): {
  readonly at: number;
  readonly copies: readonly [Uint8Array, Uint8Array];
} {
  const at = 8;
  const copies = [0x01, 0xff].map((filler) => {
    const memory = new Uint8Array(at + bytes.length + 24).fill(filler);
    memory.set(bytes, at);
    return memory;
  });
  return { at, copies: copies as [Uint8Array, Uint8Array] };
}
