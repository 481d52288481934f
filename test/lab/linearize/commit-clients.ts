/**
 * Clients of several keys at once: commits, increments, and reads of a few keys at one
 * point, all with request ids; they record what they see and write.
 *
 * A write whose outcome is unknown is sent again under its id, at once or in the next
 * life of the server, until it is answered: so in the end every outcome is known, and the
 * answer of a repeat stands for the first. Some are sent twice at the same time; the
 * answers must agree. And some that were answered are sent again seconds later, when a
 * compaction may have taken all that they wrote: they must still be known.
 *
 * A repeat that comes later than the log is kept for may be made anew, and nobody can say
 * then whether it is the first: such a history is in doubt, and not judged.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CommitRequestSchema,
  type CommitResponse,
  Durability,
  KvService,
} from "../../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { RpcClient } from "../../../src/rpc/client.js";
import type { SimRandom } from "../../support/sim-random.js";
import type { ManyKeyOperation, Seen, Written } from "./commit-history.js";

const { commit, increment } = KvService.method;
const KEYS = 4;
const twiceShare = 0.1;
/** Of requests that were answered, those that are kept for a later repeat; so many at most. */
const keptShare = 0.1;
const keptMax = 100;
/** How often one of them is sent instead of a new one. */
const laterShare = 0.05;
/** Of the time that ids are kept: a repeat must come within it, however slow the machine. */
const laterPart = 0.7;

/** Keys from this one on are numbers; those below are texts. */
const firstNumber = 2;

/** One change of a request, as it was asked. */
interface Change {
  readonly key: number;
  /** Undefined: an increment. */
  readonly value: string | undefined;
  readonly delta: bigint;
}

/** A request on its way to an answer. */
interface Request {
  readonly name: string;
  readonly calledAt: number;
  readonly calledMs: number;
  readonly changes: readonly Change[];
  /** Versions that must stand. */
  readonly conditions: readonly Seen[];
  readonly requestId: Buffer;
  readonly durability: Durability;
  /** One increment, by the rpc of that name. */
  readonly isIncrement: boolean;
  /** It was sent before, and may have been made. */
  isAgain: boolean;
}

/** What a request was answered, whichever rpc it was. */
interface Answer {
  readonly applied: boolean;
  readonly results: readonly { readonly version: bigint; readonly value: bigint }[];
  readonly unmet: CommitResponse["unmet"];
  readonly repeated: boolean;
}

/** The clients of a run, over all lives of its server. */
export class CommitClients {
  readonly operations: ManyKeyOperation[] = [];
  readonly faults = new Set<string>();
  repeats = 0;
  /** Requests that were sent again after they had been answered. */
  later = 0;
  /** Whether a request was made for the first time cannot be said of all. */
  isInDoubt = false;
  readonly #random: SimRandom;
  readonly #keptMs: number;
  readonly #met = new Array<number>(KEYS).fill(0);
  #open: Request[] = [];
  #answered: { readonly request: Request; readonly versions: string }[] = [];
  #place = 0;
  #count = 0;

  /** `keptMs`: how long the server keeps the log, and with it the ids. */
  constructor(random: SimRandom, keptMs: number) {
    this.#random = random;
    this.#keptMs = keptMs;
  }

  /** One request after the other until `isOver`, over a connection of its own; a broken one is made anew. */
  async work(connect: () => RpcClient, isOver: () => boolean): Promise<void> {
    let rpc = connect();
    while (!isOver()) {
      if (this.#random.chance(laterShare)) await this.#sendLater(rpc);
      const request = this.#next();
      if (await this.#send(request, rpc)) continue;
      rpc.close();
      rpc = connect();
      // Half of them try again at once, as a client would.
      if (this.#random.chance(0.5) && !isOver() && (await this.#send(request, rpc))) continue;
      this.#open.push(request);
      // A server that is gone is not asked in a hurry.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    rpc.close();
  }

  /** Repeats what is of unknown outcome, and reads every key, one after the other. */
  async settle(rpc: RpcClient): Promise<void> {
    for (const request of this.#open.splice(0)) {
      if (!(await this.#send(request, rpc))) this.#open.push(request);
    }
    await this.#send(this.#look(Array.from({ length: KEYS }, (_, key) => key)), rpc);
  }

  /** How many requests nobody knows the outcome of. */
  get openCount(): number {
    return this.#open.length;
  }

  #next(): Request {
    const keys = this.#someKeys();
    if (this.#random.below(4) === 0) return this.#look(keys);
    const changes = keys.map((key): Change => {
      if (key >= firstNumber)
        return { key, value: undefined, delta: BigInt(this.#random.below(9)) };
      return { key, value: `value ${this.#count}`, delta: 0n };
    });
    const [only] = changes;
    const isIncrement = changes.length === 1 && only?.value === undefined;
    const isGuarded = !isIncrement && this.#random.chance(0.4);
    const conditions = isGuarded ? this.#someKeys().map((key) => this.#guard(key)) : [];
    return this.#request(changes, conditions, isIncrement);
  }

  /** A read of several keys at one point: conditions that do not hold tell what stands. */
  #look(keys: readonly number[]): Request {
    return this.#request(
      [],
      keys.map((key) => ({ key, version: 2 ** 48 - 1 })),
      false,
    );
  }

  #guard(key: number): Seen {
    return { key, version: this.#met[key] ?? 0 };
  }

  #request(changes: readonly Change[], conditions: readonly Seen[], isIncrement: boolean): Request {
    this.#count += 1;
    const name = `request ${this.#count}`;
    return {
      name,
      calledAt: ++this.#place,
      calledMs: Date.now(),
      changes,
      conditions,
      requestId: Buffer.from(name.padEnd(20, ".")),
      durability: this.#random.pick([Durability.SYNC, Durability.SYNC, Durability.BUFFERED]),
      isIncrement,
      isAgain: false,
    };
  }

  #someKeys(): number[] {
    const keys = Array.from({ length: KEYS }, (_, key) => key);
    const count = 1 + this.#random.below(3);
    return Array.from(
      { length: count },
      () => keys.splice(this.#random.below(keys.length), 1)[0] ?? 0,
    );
  }

  /** Sends a request, some twice at once; false: its outcome is unknown. */
  async #send(request: Request, rpc: RpcClient): Promise<boolean> {
    const isTwice = request.changes.length > 0 && this.#random.chance(twiceShare);
    const calls = Array.from({ length: isTwice ? 2 : 1 }, () => ask(request, rpc));
    const ends = await Promise.allSettled(calls);
    const answers = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
    for (const end of ends) if (end.status === "rejected") this.#heed(end.reason);
    const [first, second] = answers;
    if (first === undefined) {
      request.isAgain = request.changes.length > 0;
      return false;
    }
    if (first.applied && second?.applied === true) {
      const isSame = versionsIn(first) === versionsIn(second);
      if (!isSame) this.faults.add(`${request.name} was made twice`);
      if (!first.repeated && !second.repeated) this.faults.add(`${request.name} was first twice`);
    }
    this.#record(request, answers.find(({ applied }) => applied) ?? first);
    return true;
  }

  /** Sends a request again that was answered long ago: it must be known, and have the same answer. */
  async #sendLater(rpc: RpcClient): Promise<void> {
    const fromMs = Date.now() - laterPart * this.#keptMs;
    const known = this.#answered.filter(({ request }) => request.calledMs > fromMs);
    if (known.length === 0) return;
    const { request, versions } = this.#random.pick(known);
    const again = { ...request, calledAt: ++this.#place, isAgain: false };
    let answer: Answer;
    try {
      answer = await ask(again, rpc);
    } catch (error) {
      this.#heed(error);
      // It may have come late, and been made anew.
      if (Date.now() - request.calledMs > this.#keptMs) this.isInDoubt = true;
      return;
    }
    const isLate = Date.now() - request.calledMs > this.#keptMs;
    if (!answer.repeated && isLate) return this.#record(again, answer);
    this.later += 1;
    if (!answer.repeated)
      this.faults.add(`${request.name} was made once more when it was repeated`);
    else if (versionsIn(answer) !== versions) {
      this.faults.add(`${request.name} has another answer when it is repeated`);
    }
  }

  /** Errors that mean nothing but that the answer did not come. */
  #heed(error: unknown): void {
    if (!(error instanceof KvixError)) return;
    if (["STORE_CLOSING", "STORE_STARTING", "CANCELLED"].includes(error.reason)) return;
    this.faults.add(`the server refused: ${error.message}`);
  }

  #record(request: Request, answer: Answer): void {
    const { name, calledAt, calledMs, changes, conditions, isAgain } = request;
    if (answer.applied && changes.length > 0 && this.#random.chance(keptShare)) {
      this.#answered.push({ request, versions: versionsIn(answer) });
      if (this.#answered.length > keptMax) this.#answered.shift();
    }
    if (answer.repeated) this.repeats += 1;
    else if (isAgain && Date.now() - calledMs > this.#keptMs) this.isInDoubt = true;
    const written = answer.results.map(({ version, value }, index): Written => {
      const { key, value: text, delta } = changes[index] as Change;
      const write = { key, version: Number(version) };
      this.#met[key] = write.version;
      return text === undefined
        ? { ...write, value: String(value), delta }
        : { ...write, value: text, delta: undefined };
    });
    const seen = answer.applied
      ? conditions
      : answer.unmet.map(({ index, current }) => {
          const { key } = conditions[index] as Seen;
          const version = Number(current?.version ?? 0n);
          this.#met[key] = version;
          return { key, version };
        });
    this.operations.push({ name, calledAt, endedAt: ++this.#place, seen, written });
  }
}

const keyOf = (key: number): Buffer => Buffer.from(`commit-${key}`);

async function ask(request: Request, rpc: RpcClient): Promise<Answer> {
  const { changes, conditions, requestId, durability, isIncrement } = request;
  const [only] = changes;
  if (isIncrement && only !== undefined) {
    const { key, delta } = only;
    const asked = { key: keyOf(key), delta, requestId, durability };
    const { value, version, repeated } = await rpc.call(increment, asked);
    return { applied: true, results: [{ value, version }], unmet: [], repeated };
  }
  const asked: MessageInitShape<typeof CommitRequestSchema> = {
    conditions: conditions.map(({ key, version }) => ({
      key: keyOf(key),
      precondition: {
        condition:
          version === 0
            ? { case: "absent", value: true }
            : { case: "version", value: BigInt(version) },
      },
    })),
    mutations: changes.map(({ key, value, delta }) => ({
      mutation:
        value === undefined
          ? { case: "increment", value: { key: keyOf(key), delta } }
          : { case: "set", value: { key: keyOf(key), value: Buffer.from(value) } },
    })),
    durability,
    requestId: changes.length === 0 ? new Uint8Array(0) : requestId,
  };
  return await rpc.call(commit, asked);
}

function versionsIn({ results }: Answer): string {
  return results.map(({ version, value }) => `${version}=${value}`).join(" ");
}
