/**
 * Executes one decoder with inputs made of its corpus, and says what it could
 * not take.
 *
 *     corpus -> pick two -> mutate -> make checksums right, mostly -> execute
 */
import { SimRandom } from "../../support/sim-random.js";
import { base64Of } from "./corpus.js";
import type { FuzzTarget } from "./fuzz-target.js";
import { mutated } from "./mutate.js";

/** With this chance the checksums of an input are made right. */
const SEALED_SHARE = 0.85;

/** The inputs of one decoder, each a function of the seed and its number. */
export class FuzzInputs {
  readonly #target: FuzzTarget;
  readonly #random: SimRandom;
  readonly #corpus: Uint8Array[];

  constructor(target: FuzzTarget, seed: number, corpus: readonly Uint8Array[]) {
    this.#target = target;
    this.#random = new SimRandom(seed);
    // Copies that are no Buffers: a slice of those would be the same memory.
    this.#corpus = corpus.map((input) => new Uint8Array(input));
  }

  /** The next input. */
  next(): Uint8Array {
    const random = this.#random;
    const { lengthMax, seal } = this.#target;
    const bytes = random.pick(this.#corpus);
    const input = mutated(random, bytes, random.pick(this.#corpus), lengthMax);
    if (seal !== undefined && random.chance(SEALED_SHARE)) seal(input);
    return input;
  }

  /** Takes an input up among those that others are made of. */
  add(input: Uint8Array): void {
    this.#corpus.push(input);
  }
}

/** Executes one input; undefined: all is as it should be, else what is not. */
export async function findingOf(
  target: FuzzTarget,
  input: Uint8Array,
): Promise<string | undefined> {
  // What is executed may be changed or kept by the decoder; what is told must not be.
  const copy = input.slice();
  try {
    const pending = target.execute(copy);
    if (pending !== undefined) await pending;
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `${target.name}: ${what}\n  input: ${base64Of(input)}`;
  }
  return undefined;
}

/** Executes `count` inputs, as long as none is found. */
export async function executeMany(
  target: FuzzTarget,
  inputs: FuzzInputs,
  count: number,
): Promise<string | undefined> {
  for (let execution = 0; execution < count; execution += 1) {
    const input = inputs.next();
    const { execute } = target;
    try {
      const pending = execute.call(target, input);
      if (pending !== undefined) await pending;
    } catch {
      // Once more, and this time told; what does not happen again is a finding as well.
      const told = await findingOf(target, input);
      return told ?? `${target.name}: failed once, and not again\n  input: ${base64Of(input)}`;
    }
  }
  return undefined;
}
