/** A request that is done once, however often it arrives: under a key that its sender chose. */
import type { KeyValueStore, Mutation } from "kvix";

/** What a request is answered. */
export interface OnceAnswer {
  readonly answer: string;
  /** It was done before, and this is what it was answered then. */
  readonly isRepeat: boolean;
}

/**
 * Makes the changes and remembers the answer for `ttlMs`, both or neither; or gives the
 * answer that is remembered.
 */
export async function once(
  kvix: KeyValueStore,
  requestKey: string,
  mutations: readonly Mutation[],
  answer: string,
  ttlMs: number,
): Promise<OnceAnswer> {
  const key = `request:${requestKey}`;
  for (;;) {
    const { applied } = await kvix.commit(
      [...mutations, { kind: "set", key, value: answer, ttlMs }],
      { conditions: [{ key, ifAbsent: true }] },
    );
    if (applied) return { answer, isRepeat: false };
    const first = await kvix.get(key);
    // Its time was up in between: then the request is a new one.
    if (first !== undefined) return { answer: first.text(), isRepeat: true };
  }
}
