/**
 * What the log of a seed must tell, over all of its lives: which version changed which
 * key to what, and which versions belong together.
 *
 *     answered    must be told, as it was answered
 *     lost?       its life ended before it had to be durable: told as it was, or not at all;
 *                 one member of a commit with all the others
 *     told        nobody was answered that: the first who is told says what others must hear
 *
 * A version that means one thing in one life and another in a later one was given twice.
 */
import { strict as assert } from "node:assert";
import type { WriteCall } from "./call.js";

/** One change of one key. */
export interface Fact {
  readonly kind: "set" | "delete" | "expire";
  readonly key: string;
  /** Of a set. */
  readonly value: string | undefined;
  readonly expiresAtMs: number;
}

/** What an event says; one without its value says nothing of it. */
export interface ToldFact extends Omit<Fact, "value"> {
  readonly value: string | undefined | "left out";
}

interface KnownFact extends Fact {
  readonly version: number;
  /** The first and the last version of the commit that it is part of. */
  readonly first: number;
  readonly last: number;
  /** Of the life that goes on; -1: of one before, or of nobody who was answered. */
  order: number;
  isSure: boolean;
}

/** All that is known of the log. */
export class LogTruth {
  readonly #facts = new Map<number, KnownFact>();
  /** Their versions, ascending. */
  readonly #versions: number[] = [];
  /** Keys of calls whose answer nobody heard, or that may leave a tombstone without saying so. */
  readonly #unheard = new Set<string>();

  /** A call was answered, and has written these versions. */
  wrote(call: WriteCall, written: ReadonlyMap<number, Fact>): void {
    const versions = Array.from(written.keys());
    const [first, last] = [Math.min(...versions), Math.max(...versions)];
    for (const [version, fact] of written) {
      const known = this.#facts.get(version);
      if (known !== undefined) requireSame(version, known, fact, `the answer to ${call}`);
      this.#put({ ...fact, version, first, last, order: call.order, isSure: true });
    }
  }

  /** Nobody knows whether this call was made, or which versions it took. */
  unheard(call: WriteCall): void {
    for (const { key } of call.ask.changes) this.#unheard.add(key);
  }

  /** A life is over: all calls up to this one have survived, of the others it is not known. */
  survive(upTo: number): void {
    for (const fact of this.#facts.values()) {
      if (fact.order > upTo) fact.isSure = false;
      fact.order = -1;
    }
  }

  /** Somebody was told this; judged when all calls that were made before are answered. */
  told(version: number, told: ToldFact): void {
    const known = this.#facts.get(version);
    if (known !== undefined) {
      requireSame(version, known, told, "the log");
      for (const each of this.#between(known.first - 1, known.last)) each.isSure = true;
      return;
    }
    if (told.kind === "delete") {
      const isPossible = this.#unheard.has(told.key);
      assert.ok(isPossible, `log: version ${version} deletes ${told.key}, which nobody did`);
    }
    if (told.kind === "expire") this.#requireExpired(version, told.key);
    if (told.value === "left out") return;
    const alone = { first: version, last: version, order: -1, isSure: true };
    this.#put({ ...told, value: told.value, version, ...alone });
  }

  /** Who knows all between two versions must have been told these. */
  requireAll(
    after: number,
    upTo: number,
    told: ReadonlySet<number>,
    covers: (key: string) => boolean,
  ): void {
    for (const { version, key, isSure } of this.#between(after, upTo)) {
      const isMissing = isSure && covers(key) && !told.has(version);
      assert.ok(!isMissing, `watch: version ${version} of ${after}..${upTo} is not told`);
    }
  }

  /** Nobody who began after `start` stands in the midst of a commit. */
  requireWhole(version: number, start: number): void {
    const at = this.#find(version + 1) - 1;
    const fact = this.#facts.get(this.#versions[at] ?? -1);
    const isInside = fact?.isSure === true && fact.first > start && fact.last > version;
    assert.ok(!isInside, `B2: the watch stands at ${version}, in the midst of a commit`);
  }

  /** What was swept must have been there, with a time that could be up. */
  #requireExpired(version: number, key: string): void {
    if (this.#unheard.has(key)) return;
    for (let at = this.#find(version) - 1; at >= 0; at -= 1) {
      const fact = this.#facts.get(this.#versions[at] as number);
      if (fact?.key !== key) continue;
      if (!fact.isSure) return;
      const mayExpire = fact.kind === "set" && fact.expiresAtMs !== 0;
      assert.ok(mayExpire, `log: version ${version} expires ${key}, which never does`);
      return;
    }
  }

  *#between(after: number, upTo: number): Generator<KnownFact> {
    for (let at = this.#find(after + 1); at < this.#versions.length; at += 1) {
      const version = this.#versions[at] as number;
      if (version > upTo) return;
      yield this.#facts.get(version) as KnownFact;
    }
  }

  #put(fact: KnownFact): void {
    const { version } = fact;
    if (!this.#facts.has(version)) this.#versions.splice(this.#find(version), 0, version);
    this.#facts.set(version, fact);
  }

  /** Where the first version lies that is not below this one. */
  #find(version: number): number {
    let low = 0;
    let high = this.#versions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#versions[middle] as number) < version) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function requireSame(version: number, known: Fact, told: ToldFact, who: string): void {
  const isOne =
    known.kind === told.kind &&
    known.key === told.key &&
    known.expiresAtMs === told.expiresAtMs &&
    (told.value === "left out" || known.value === told.value);
  assert.ok(
    isOne,
    `V15: ${who} has version ${version} as ${wordsOf(told)}, it is ${wordsOf(known)}`,
  );
}

function wordsOf({ kind, key, value, expiresAtMs }: ToldFact): string {
  return `${kind} ${key} ${value?.slice(0, 12) ?? ""}@${expiresAtMs}`;
}
