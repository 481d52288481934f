/**
 * Those who keep ledgers on one server: each makes one round after the other until it is
 * told to end or the server is gone, and what is unknown then is made certain on the next
 * server, before anything else. Beside them some look at all ledgers at one point in time.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { PipelineResult } from "../../../gen/kvix/v1/kvix_pb.js";
import { Durability } from "../../../gen/kvix/v1/kvix_pb.js";
import type { Reason } from "../../../src/base/error-catalogue.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import { connect, type KvixClient, type ListedRecord } from "../../../src/client/connect.js";
import { RpcClient } from "../../../src/rpc/client.js";
import { fromStatus } from "../../../src/rpc/status.js";
import { TestPipeline } from "../../service/pipeline-client.js";
import type { SimRandom } from "../../support/sim-random.js";
import type { Counts } from "./counts.js";
import { Ledger, ledgerMark, type SeenKey } from "./ledger.js";
import { sleep } from "./load.js";

/** Errors that say no more than that there is no answer. */
const passing: readonly Reason[] = [
  "STORE_CLOSING",
  "STORE_STARTING",
  "CONNECTION_LOST",
  "UNREACHABLE",
  "CANCELLED",
];

const burstRounds = 20;
const uploadBytes = [1, 60_000, 400_000] as const;
/** Values that are never finished. */
const givenUpText = "v4lue/given up";

/** How a ledger's rounds are made. */
type Manner = "commit" | "increment" | "upload" | "pipeline";

const keysOf = {
  commit: { texts: ["a", "b", "c"], numbers: ["n"] },
  increment: { texts: [], numbers: ["n"] },
  upload: { texts: ["u"], numbers: [] },
  pipeline: { texts: ["p"], numbers: [] },
} as const;

/** One who keeps a ledger. */
interface Keeper {
  readonly manner: Manner;
  ledger: Ledger;
  /** Of the round that is not answered. */
  requestId: Uint8Array;
  /** The last round that was answered by a commit or an increment. */
  last: Answered | undefined;
}

/** A round that was answered. */
interface Answered {
  readonly round: number;
  readonly requestId: Uint8Array;
  readonly sentAtMs: number;
  readonly versions: readonly number[];
  readonly number: bigint;
}

/** All ledgers of a life. */
export class LedgerClients {
  readonly #random: SimRandom;
  readonly #counts: Counts;
  /** A request may be forgotten when it is older; a compaction may have taken it. */
  readonly #retentionMs: number;
  readonly #keepers: Keeper[];
  #names = 0;
  #isOver = false;
  #rounds = 0;
  #waiting: { readonly rounds: number; readonly tell: () => void }[] = [];

  constructor(random: SimRandom, counts: Counts, retentionMs: number) {
    this.#random = random;
    this.#counts = counts;
    this.#retentionMs = retentionMs;
    const manners = ["commit", "commit", "commit", "increment", "upload", "pipeline"] as const;
    this.#keepers = manners.map((manner) => ({
      manner,
      ledger: this.#newLedger(manner),
      requestId: randomBytes(16),
      last: undefined,
    }));
  }

  /** The ledgers that are kept. */
  get ledgers(): readonly Ledger[] {
    return this.#keepers.map(({ ledger }) => ledger);
  }

  /** Makes certain what is unknown, while nobody else is at work; then has all looked at. */
  async settle(address: string): Promise<void> {
    const client = this.#connect(address);
    try {
      for (const keeper of this.#keepers) {
        await this.#repeatLast(keeper, client);
        if (keeper.ledger.openSinceMs === undefined) continue;
        this.#counts.add("rounds made certain");
        if (keeper.manner === "commit" || keeper.manner === "increment") {
          const isAnswered = await this.#makeOnce(keeper, client);
          assert.ok(isAnswered, `${keeper.ledger.name}: a repeat is not answered`);
        } else keeper.ledger.found(await this.#read(client, keeper.ledger));
      }
      await this.#lookAtAll(client);
    } finally {
      await client.close();
    }
  }

  /** Works on one server until it is told to end, or the server is gone. */
  async work(address: string): Promise<void> {
    this.#isOver = false;
    const workers = this.#keepers.map((keeper) => this.#keep(keeper, address));
    await Promise.all([...workers, this.#look(address)]);
  }

  /** Resolves when so many rounds more were answered. */
  rounds(count: number): Promise<void> {
    return new Promise((tell) => this.#waiting.push({ rounds: this.#rounds + count, tell }));
  }

  end(): void {
    this.#isOver = true;
  }

  #newLedger(manner: Manner): Ledger {
    this.#names += 1;
    return new Ledger(`${manner}${this.#names}`, keysOf[manner]);
  }

  #connect(address: string): KvixClient {
    return connect({
      address,
      attemptsMax: 1,
      batching: this.#random.chance(0.5),
      channelOptions: { "grpc.use_local_subchannel_pool": 1 },
    });
  }

  async #keep(keeper: Keeper, address: string): Promise<void> {
    const client = this.#connect(address);
    try {
      while (!this.#isOver) {
        const isAnswered =
          keeper.manner === "pipeline"
            ? await this.#burst(keeper, address)
            : keeper.manner === "upload"
              ? await this.#upload(keeper, client)
              : await this.#makeOnce(keeper, client);
        if (!isAnswered) return;
        this.#rounds += 1;
        for (const { rounds, tell } of this.#waiting) if (this.#rounds >= rounds) tell();
      }
    } finally {
      await client.close();
    }
  }

  /** One commit or increment under its id; false: its outcome is unknown. */
  async #makeOnce(keeper: Keeper, client: KvixClient): Promise<boolean> {
    const { ledger, manner } = keeper;
    const isAnew = ledger.openSinceMs !== undefined;
    if (!isAnew) keeper.requestId = randomBytes(16);
    const round = ledger.send();
    const options = {
      requestId: keeper.requestId,
      durability: this.#random.pick(["sync", "buffered"] as const),
    };
    const openSinceMs = ledger.openSinceMs ?? 0;
    return await this.#ended(async () => {
      const { repeated, versions, number } =
        manner === "increment"
          ? await increment(client, ledger, options)
          : await commit(client, ledger, round, options);
      if (repeated) this.#counts.add("rounds that were known");
      assert.ok(isAnew || !repeated, `${ledger.name}: round ${round} was never sent before`);
      const mayBeForgotten = isAnew && this.#isOld(openSinceMs);
      if (!repeated && mayBeForgotten && number === BigInt(round + 1)) {
        this.#replace(keeper);
        return;
      }
      ledger.answered(round, versions, number);
      const { requestId } = keeper;
      keeper.last = { round, requestId, sentAtMs: openSinceMs, versions, number };
    });
  }

  /** A request that was answered is known on the next server as well, and answered the same. */
  async #repeatLast(keeper: Keeper, client: KvixClient): Promise<void> {
    const { last, ledger, manner } = keeper;
    if (last === undefined || this.#isOld(last.sentAtMs)) return;
    const options = { requestId: last.requestId, durability: "sync" } as const;
    const answer =
      manner === "increment"
        ? await increment(client, ledger, options)
        : await commit(client, ledger, last.round, options);
    if (!answer.repeated && this.#isOld(last.sentAtMs)) return this.#replace(keeper);
    const { versions, number } = last;
    const first = { repeated: true, versions, number };
    assert.deepEqual(answer, first, `R7: ${ledger.name}, round ${last.round} once more`);
    this.#counts.add("rounds that were known");
  }

  /** Whether a compaction may have taken what was sent then. */
  #isOld(sentAtMs: number): boolean {
    return Date.now() - sentAtMs > this.#retentionMs;
  }

  /** A request was forgotten with its segment, and made anew: what stands is no round any more. */
  #replace(keeper: Keeper): void {
    this.#counts.add("requests forgotten with their segments");
    keeper.ledger = this.#newLedger(keeper.manner);
    keeper.last = undefined;
  }

  /** Many rounds at once on one pipeline. */
  async #burst({ ledger }: Keeper, address: string): Promise<boolean> {
    const rpc = new RpcClient(address, { "grpc.use_local_subchannel_pool": 1 });
    const ends: (() => void)[] = [];
    try {
      const pipeline = new TestPipeline({ after: (end) => void ends.push(end as () => void) }, rpc);
      const first = ledger.send(burstRounds);
      const [key = ""] = ledger.keys;
      for (let round = first; round < first + burstRounds; round += 1) {
        const value = Buffer.from(ledger.textOf(round, this.#random.below(300)));
        const durability = this.#random.pick([Durability.SYNC, Durability.BUFFERED]);
        pipeline.send({ case: "set", value: { key: Buffer.from(key), value, durability } });
      }
      pipeline.halfClose();
      const error = await pipeline.end();
      for (const [index, { result }] of pipeline.results.entries()) {
        const version = versionOf(result);
        if (version === undefined) return false;
        ledger.answered(first + index, [version]);
      }
      if (error === undefined) this.#counts.add("bursts on a pipeline");
      return error === undefined && pipeline.results.length === burstRounds;
    } finally {
      for (const end of ends) end();
      rpc.close();
    }
  }

  /** An upload of the next round; some are given up half way before. */
  async #upload({ ledger }: Keeper, client: KvixClient): Promise<boolean> {
    const [key = ""] = ledger.keys;
    if (this.#random.chance(0.3)) {
      const given = new AbortController();
      const pieces = givenUp(given);
      const isEnded = await this.#ended(async () => {
        const options = { valueBytes: 500_000, signal: given.signal };
        await client.upload(key, pieces, options).then(
          () => assert.fail("an upload that was given up is answered"),
          (error: unknown) => {
            if (!given.signal.aborted) throw error;
          },
        );
      });
      if (!isEnded) return false;
      this.#counts.add("uploads given up");
    }
    const round = ledger.send();
    const value = Buffer.from(ledger.textOf(round, this.#random.pick(uploadBytes)));
    return await this.#ended(async () => {
      const durability = this.#random.pick(["sync", "buffered"] as const);
      const { applied, version } = await client.upload(key, value, { durability });
      assert.ok(applied, "an upload without a condition is applied");
      ledger.answered(round, [version]);
      this.#counts.add("uploads");
    });
  }

  /** Looks at all ledgers at one point in time, in one way or the other. */
  async #look(address: string): Promise<void> {
    const client = this.#connect(address);
    try {
      while (!this.#isOver) {
        if (!(await this.#ended(() => this.#lookAtAll(client)))) return;
        await sleep(1 + this.#random.below(10));
      }
    } finally {
      await client.close();
    }
  }

  async #lookAtAll(client: KvixClient): Promise<void> {
    const known = this.#keepers.map(({ ledger }) => ({ ledger, done: ledger.done }));
    const seen: SeenKey[] = [];
    if (this.#random.chance(0.5)) {
      for await (const record of client.scan({ prefix: ledgerMark })) seen.push(...seenOf(record));
    } else {
      const keys = known.flatMap(({ ledger }) => ledger.keys);
      const { entries } = await client.batchGet(keys);
      seen.push(...entries.flatMap((entry) => seenOf(entry)));
    }
    for (const { ledger, done } of known) {
      const own = seen.filter(({ key }) => ledger.keys.includes(key));
      // What does not fit one answer is left to who reads it alone.
      if (ledger.keys.length === 1 && own.length === 0) continue;
      ledger.look(own, done);
    }
    this.#counts.add("looks at one point in time");
  }

  /** What stands under the only key of a ledger. */
  async #read(client: KvixClient, { keys }: Ledger): Promise<SeenKey[]> {
    const [key = ""] = keys;
    await using download = await client.download(key);
    if (download === undefined) return [];
    return [{ key, value: await download.text(), version: download.version }];
  }

  /** False: there is no answer. Throws what the server should not have said. */
  async #ended(call: () => Promise<void>): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      if (!(error instanceof KvixError)) throw error;
      assert.ok(passing.includes(error.reason), `the server refused: ${error.message}`);
      this.#counts.add("rounds and looks without an answer");
      return false;
    }
  }
}

/** What a round was answered. */
interface RoundAnswer {
  readonly repeated: boolean;
  readonly versions: readonly number[];
  readonly number: bigint;
}

interface RoundOptions {
  readonly requestId: Uint8Array;
  readonly durability: "sync" | "buffered";
}

async function commit(
  client: KvixClient,
  ledger: Ledger,
  round: number,
  options: RoundOptions,
): Promise<RoundAnswer> {
  const mutations = ledger.keys.map((key) => {
    return ledger.isNumber(key)
      ? ({ kind: "increment", key } as const)
      : ({ kind: "set", key, value: ledger.textOf(round) } as const);
  });
  const { applied, results, repeated } = await client.commit(mutations, options);
  assert.ok(applied, "a commit without conditions is applied");
  const number = results.at(-1)?.value ?? 0n;
  return { repeated, versions: results.map(({ version }) => version), number };
}

async function increment(
  client: KvixClient,
  { keys }: Ledger,
  options: RoundOptions,
): Promise<RoundAnswer> {
  const { value, version, repeated } = await client.increment(keys[0] ?? "", 1, options);
  return { repeated, versions: [version], number: value };
}

/** Some pieces of a value, and then its sender gives up. */
async function* givenUp(given: AbortController): AsyncGenerator<Uint8Array> {
  yield Buffer.from(givenUpText.padEnd(200_000, "l"));
  given.abort();
  yield Buffer.from("l");
}

/** The version that a set on a pipeline was answered; undefined: it was refused, as all may be at the end. */
function versionOf(result: PipelineResult["result"]): number | undefined {
  if (result.case === "set") return Number(result.value.version);
  assert.equal(result.case, "error", "a set is answered as a set");
  const error = result.case === "error" ? fromStatus(result.value) : undefined;
  const isPassing = error !== undefined && passing.includes(error.reason);
  assert.ok(isPassing, `the server refused: ${error?.message}`);
  return undefined;
}

function seenOf(record: ListedRecord | undefined | "unread"): SeenKey[] {
  if (record === undefined || record === "unread" || record.record === undefined) return [];
  return [{ key: record.keyText(), value: record.record.text(), version: record.version }];
}
