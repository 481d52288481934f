/**
 * A ledger: rounds that one client makes one after the other, each in one go, under keys
 * that nobody else writes. So what must stand is known without a model:
 *
 *     round 7:   c0m-A-a = c0m-A-b = ".../7/", c0m-A-n = "7"      of a commit
 *
 *     sent -> answered            the next round
 *        `--> unknown -> sent again under its id, or looked for  -> answered
 *
 * The rules, each a sentence in what it throws:
 *  1. A round is made exactly once: the number that is counted up is that of the round,
 *     also where its answer came only after a restart (R7).
 *  2. Whoever looks at one point in time sees one round under all keys, the last that
 *     was answered or one that was sent since (B1, B2, V1).
 *  3. Who watches is told every round, in order, once, with all its keys and in one
 *     piece, and with the versions that it was answered.
 */
import assert from "node:assert/strict";
import { valueMark } from "./load.js";

/** What a ledger's keys begin with; nothing else does. */
export const ledgerMark = "c0m-";

/** Texts have the round between the last two strokes, numbers are it. */
export interface LedgerKeys {
  readonly texts: readonly string[];
  readonly numbers: readonly string[];
}

/** A key as somebody saw it. */
export interface SeenKey {
  readonly key: string;
  readonly value: string;
  readonly version: number;
}

/** See the top. */
export class Ledger {
  readonly name: string;
  readonly keys: readonly string[];
  readonly #numbers: ReadonlySet<string>;
  /** The last round that was answered, and the last that was sent. */
  #done = 0;
  #sent = 0;
  /** Of the round that was sent last and is not answered: when it was first sent. */
  #sentAtMs = 0;
  /** The versions of rounds that were answered. */
  readonly #versions = new Map<number, readonly number[]>();
  #newest = 0;
  /** The last round that who watches was told; undefined: any may come. */
  #told: number | undefined = 0;

  constructor(name: string, { texts, numbers }: LedgerKeys) {
    this.name = name;
    const keyOf = (suffix: string): string => `${ledgerMark}${name}-${suffix}`;
    this.#numbers = new Set(numbers.map(keyOf));
    this.keys = [...texts.map(keyOf), ...this.#numbers];
  }

  /** The last round that was answered. */
  get done(): number {
    return this.#done;
  }

  /** When the round that is not answered was first sent; undefined: all are answered. */
  get openSinceMs(): number | undefined {
    return this.#sent > this.#done ? this.#sentAtMs : undefined;
  }

  isNumber(key: string): boolean {
    return this.#numbers.has(key);
  }

  /** The text of a round. */
  textOf(round: number, bytes = 0): string {
    return `${valueMark}/${this.name}/${round}/`.padEnd(bytes, "l");
  }

  /** The round to send, alone or with others behind it. */
  send(count = 1): number {
    if (this.#sent === this.#done) this.#sentAtMs = Date.now();
    this.#sent = Math.max(this.#sent, this.#done + count);
    return this.#done + 1;
  }

  /** A round was answered with these versions, in the order of the keys, and with its number. */
  answered(round: number, versions: readonly number[], number = BigInt(round)): void {
    const who = `${this.name}, round ${round}`;
    assert.equal(number, BigInt(round), `R7: ${who} was made ${number} times, or not once each`);
    assert.equal(round, this.#done + 1, `${who} is answered after ${this.#done}`);
    for (const [index, version] of versions.entries()) {
      const isNext = index === 0 ? version > this.#newest : version === this.#newest + 1;
      assert.ok(isNext, `B1 V15: ${who} has versions ${versions} behind ${this.#newest}`);
      this.#newest = version;
    }
    this.#versions.set(round, versions);
    this.#done = round;
  }

  /** After a restart somebody looked, while nobody wrote: what stands was made. */
  found(seen: readonly SeenKey[]): void {
    const round = this.look(seen, this.#done);
    for (const { version } of seen) this.#newest = Math.max(this.#newest, version);
    this.#done = round;
    this.#sent = round;
  }

  /** Its keys at one point in time, by who knew `done` when he asked; answers the round. */
  look(seen: readonly SeenKey[], done: number): number {
    if (seen.length === 0) {
      assert.equal(done, 0, `V1: ${this.name}, round ${done} was answered and is gone`);
      return 0;
    }
    const rounds = new Set(seen.map((each) => this.#roundOf(each)));
    const keys = seen.map(({ key }) => key).sort();
    const isWhole = rounds.size === 1 && keys.join() === [...this.keys].sort().join();
    assert.ok(isWhole, `B2: ${this.name} shows ${JSON.stringify(seen)} at one point in time`);
    const [round = 0] = rounds;
    const isRight = round >= done && round <= this.#sent;
    assert.ok(isRight, `V1: ${this.name} shows round ${round}, of ${done} to ${this.#sent}`);
    return round;
  }

  /** Who watches was told these of its keys, in one piece. */
  told(events: readonly SeenKey[]): void {
    const rounds: SeenKey[][] = [];
    for (const event of events) {
      const last = rounds.at(-1)?.[0];
      if (last !== undefined && this.#roundOf(last) === this.#roundOf(event)) {
        rounds.at(-1)?.push(event);
      } else rounds.push([event]);
    }
    for (const each of rounds) this.#toldRound(each);
  }

  /** Who watches begins anew with what stands: from there on all is told. */
  toldAnew(seen: readonly SeenKey[]): void {
    const [first] = seen;
    this.#told = first === undefined ? undefined : this.#roundOf(first);
    if (first !== undefined) this.look(seen, 0);
  }

  /** Who watches knows all up to a version. */
  requireTold(version: number): void {
    const told = this.#told;
    if (told === undefined) return;
    for (const [round, versions] of this.#versions) {
      const isOwed = round > told && (versions.at(-1) ?? 0) <= version;
      assert.ok(
        !isOwed,
        `watch: ${this.name}, round ${round} of ${versions} is not told by ${version}`,
      );
    }
  }

  #toldRound(events: readonly SeenKey[]): void {
    const round = this.#roundOf(events[0] as SeenKey);
    const who = `watch: ${this.name}, round ${round}`;
    const keys = events.map(({ key }) => key);
    assert.deepEqual(keys, this.keys, `${who} is told in part, or not in order`);
    const versions = events.map(({ version }) => version);
    const first = versions[0] as number;
    const isTogether = versions.every((version, index) => version === first + index);
    assert.ok(isTogether, `${who} is told with versions ${versions}`);
    const answered = this.#versions.get(round);
    if (answered !== undefined) assert.deepEqual(versions, answered, `${who}: its versions`);
    const isNext = this.#told === undefined || round === this.#told + 1;
    assert.ok(isNext, `${who} is told after round ${this.#told}`);
    assert.ok(round <= this.#sent, `${who} was never sent`);
    this.#told = round;
  }

  #roundOf({ key, value }: SeenKey): number {
    const text = this.isNumber(key) ? value : value.split("/")[2];
    const round = Number(text);
    const isOwn = this.isNumber(key) || value.startsWith(this.textOf(round));
    assert.ok(Number.isSafeInteger(round) && isOwn, `${key} has a value that nobody wrote`);
    return round;
  }
}
