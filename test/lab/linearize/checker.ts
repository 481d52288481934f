/**
 * Whether the history of one key is linearizable: whether its operations can be put
 * into one order that keeps real time and that a register allows.
 *
 * The search is that of Wing and Gong with Lowe's memory: calls and ends stand in a
 * linked list in order of place; whatever is called before the first end in the list
 * may come next; what is taken is lifted out; when the search comes to an end whose
 * operation was not taken, the last one taken is put back. A position that was
 * reached before is not searched again. Histories of different keys are independent,
 * so each is searched alone (P-compositionality).
 *
 * What can come next and changes nothing is taken at once, and nothing else is tried in
 * its place: wherever it stands later, it can as well stand here.
 *
 * Operations of unknown outcome never end, so they do not stand in the list. They are
 * tried last, from pools of those alike (key-history.ts). Of two positions that differ
 * in how much of the pools is spent and how high versions have come, the one with less
 * of each can do all that the other can; so only what is not behind another is kept.
 */
import type { Operation } from "./history.js";
import { type KeyHistory, type Must, type Pool, prepare } from "./key-history.js";
import { emptyRegister, type Register, step } from "./register-model.js";

/** What a search came to. */
export interface Verdict {
  /** "given-up": neither was shown within the bound. */
  readonly kind: "linearizable" | "not-linearizable" | "given-up";
  /** Positions that were looked at. */
  readonly positions: number;
}

/** The positions after which a search is given up, if it is not told otherwise. */
export const positionsMaxDefault = 2_000_000;

/** Searches the history of one key; see the top. `start`: what stood before. */
export function checkKey(
  operations: readonly Operation[],
  { positionsMax = positionsMaxDefault, start = emptyRegister } = {},
): Verdict {
  return new Search(prepare(operations), start, positionsMax).run();
}

/** A node of the list: the call or the end of a must. */
interface Node {
  readonly place: number;
  readonly must: Must;
  readonly isCall: boolean;
  /** Of a call: the node of its end. */
  end: Node | undefined;
  previous: Node | undefined;
  next: Node | undefined;
}

/** What was done to get from one position to the next, and what stood before it. */
type Move =
  | { readonly register: Register; readonly call: Node; readonly isFree: boolean }
  | { readonly register: Register; readonly pool: number; readonly isFree: false };

class Search {
  readonly #musts: readonly Must[];
  readonly #pools: readonly Pool[];
  /** Of each pool, how many were taken. */
  readonly #spent: number[];
  readonly #isTaken: boolean[];
  readonly #indexes: ReadonlyMap<Must, number>;
  readonly #head: Node;
  readonly #moves: Move[] = [];
  readonly #reached = new Map<string, (readonly number[])[]>();
  readonly #positionsMax: number;
  /** The pools whose spending counts: a version is met only once, and then it is gone for good. */
  readonly #costly: readonly number[];
  /** How many musts that are left meet a version. */
  readonly #meetings = new Map<number, number>();
  #register: Register;
  #rank = 0;
  #positions = 0;

  constructor({ musts, pools }: KeyHistory, start: Register, positionsMax: number) {
    this.#musts = musts;
    this.#pools = pools;
    this.#spent = pools.map(() => 0);
    this.#costly = [...pools.keys()].filter((at) => pools[at]?.[0]?.condition?.kind !== "version");
    this.#isTaken = musts.map(() => false);
    this.#indexes = new Map(musts.map((must, index) => [must, index]));
    for (const { meets } of musts) this.#meet(meets, 1);
    this.#head = listOf(musts);
    this.#register = start;
    this.#positionsMax = positionsMax;
  }

  run(): Verdict {
    let node = this.#head.next;
    let pool = 0;
    for (;;) {
      if (this.#head.next === undefined) return this.#verdict("linearizable");
      if (this.#positions >= this.#positionsMax) return this.#verdict("given-up");
      if (node?.isCall === true) {
        if (this.#take(node)) [node, pool] = [this.#head.next, 0];
        else node = node.next;
      } else if (pool < this.#pools.length) {
        // Whatever comes next was called before this end.
        if (this.#spend(pool, node?.place ?? 0)) [node, pool] = [this.#head.next, 0];
        else pool += 1;
      } else {
        const move = this.#undo();
        if (move === undefined) return this.#verdict("not-linearizable");
        if ("call" in move) [node, pool] = [move.call.next, 0];
        else [node, pool] = [this.#firstEnd(), move.pool + 1];
      }
    }
  }

  #verdict(kind: Verdict["kind"]): Verdict {
    return { kind, positions: this.#positions };
  }

  /** Takes a must, if it can come next and leads somewhere new. */
  #take(call: Node): boolean {
    const { operation, version, rank, meets } = call.must;
    if (rank >= 0 && rank !== this.#rank) return false;
    const after = step(this.#register, operation, version);
    if (after === undefined || this.#isStillMet(after, meets)) return false;
    this.#isTaken[this.#indexes.get(call.must) as number] = true;
    lift(call);
    if (rank >= 0) this.#rank += 1;
    this.#meet(meets, -1);
    const isFree = after === this.#register;
    if (isFree || this.#isNew(after)) {
      this.#moves.push({ register: this.#register, call, isFree });
      this.#register = after;
      return true;
    }
    this.#putBack(call);
    return false;
  }

  /** Takes the next of a pool that was called before `end`, in the same way. */
  #spend(pool: number, end: number): boolean {
    const next = this.#pools[pool]?.[this.#spent[pool] ?? 0];
    if (next === undefined || next.calledAt > end) return false;
    const after = step(this.#register, next);
    if (after === undefined || this.#isStillMet(after, 0)) return false;
    this.#spent[pool] = (this.#spent[pool] ?? 0) + 1;
    if (this.#isNew(after)) {
      this.#moves.push({ register: this.#register, pool, isFree: false });
      this.#register = after;
      return true;
    }
    this.#spent[pool] -= 1;
    return false;
  }

  /** Goes back to before the last move that had an alternative; undefined: none had. */
  #undo(): Move | undefined {
    for (let move = this.#moves.pop(); move !== undefined; move = this.#moves.pop()) {
      this.#register = move.register;
      if ("call" in move) this.#putBack(move.call);
      else this.#spent[move.pool] = (this.#spent[move.pool] ?? 0) - 1;
      if (!move.isFree) return move;
    }
    return undefined;
  }

  #putBack(call: Node): void {
    this.#isTaken[this.#indexes.get(call.must) as number] = false;
    unlift(call);
    if (call.must.rank >= 0) this.#rank -= 1;
    this.#meet(call.must.meets, 1);
  }

  #meet(version: number, count: number): void {
    if (version !== 0) this.#meetings.set(version, (this.#meetings.get(version) ?? 0) + count);
  }

  /** Whether `after` takes away a version that another must than this one has yet to meet. */
  #isStillMet(after: Register, meets: number): boolean {
    const { version } = this.#register;
    if (version === 0 || after.version === version) return false;
    return (this.#meetings.get(version) ?? 0) > (meets === version ? 1 : 0);
  }

  #firstEnd(): Node | undefined {
    let node = this.#head.next;
    while (node?.isCall === true) node = node.next;
    return node;
  }

  /** Whether no position that was reached can do all that this one can; notes it if so. */
  #isNew(register: Register): boolean {
    this.#positions += 1;
    const name = this.#nameOf(register);
    const cost = [register.floor, ...this.#costly.map((pool) => this.#spent[pool] ?? 0)];
    const known = this.#reached.get(name);
    if (known === undefined) {
      this.#reached.set(name, [cost]);
      return true;
    }
    if (known.some((each) => isAtMost(each, cost))) return false;
    const rest = known.filter((each) => !isAtMost(cost, each));
    this.#reached.set(name, [...rest, cost]);
    return true;
  }

  /** What was taken of the musts, and what stands: a value with an open version is any such. */
  #nameOf({ value, version }: Register): string {
    const first = this.#head.next;
    if (first === undefined) return "done";
    const low = this.#indexes.get(first.must) as number;
    const end = this.#firstEnd()?.place ?? 0;
    let taken = "";
    for (let at = low + 1; (this.#musts[at]?.operation.calledAt ?? end) < end; at += 1) {
      taken += this.#isTaken[at] === true ? "1" : "0";
    }
    return `${low}/${taken}/${value === undefined ? "absent" : version}`;
  }
}

function isAtMost(one: readonly number[], other: readonly number[]): boolean {
  return one.every((cost, index) => cost <= (other[index] as number));
}

/** The list, behind a head that is no call. */
function listOf(musts: readonly Must[]): Node {
  const nodes = musts.flatMap((must): Node[] => {
    const links = { must, previous: undefined, next: undefined };
    const end: Node = { ...links, place: must.before, isCall: false, end: undefined };
    return [{ ...links, place: must.operation.calledAt, isCall: true, end }, end];
  });
  nodes.sort((one, other) => one.place - other.place);
  const head = { place: -1, isCall: false, end: undefined, previous: undefined } as Node;
  let last = head;
  for (const node of nodes) {
    last.next = node;
    node.previous = last;
    last = node;
  }
  return head;
}

function lift(call: Node): void {
  for (const node of [call, call.end as Node]) {
    if (node.previous !== undefined) node.previous.next = node.next;
    if (node.next !== undefined) node.next.previous = node.previous;
  }
}

/** Undoes the last `lift`: each node still knows its neighbours of then. */
function unlift(call: Node): void {
  for (const node of [call.end as Node, call]) {
    if (node.previous !== undefined) node.previous.next = node;
    if (node.next !== undefined) node.next.previous = node;
  }
}
