/**
 * `kill -9` of the real server under load over gRPC, round after round on one
 * data directory, with an oracle that knows only what its clients were told.
 *
 * KVIX_KILL_ROUNDS (50) says how often; KVIX_SEED replays the choices (what the
 * machine does in between cannot be replayed). Segments are tiny, so that kills
 * fall into rotations too; every eighth round is a clean stop instead.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import {
  AdminService,
  CompactionOutcome,
  CompactionPhase,
  Durability,
  KvService,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { RpcClient } from "../../src/rpc/client.js";
import { ServerProcess } from "../support/server-process.js";
import { makeDataDir } from "./data-dir.js";
import { type Attempt, KillOracle, type SeenRecord } from "./kill-oracle.js";

const rounds = Number(process.env["KVIX_KILL_ROUNDS"] ?? 50);
const seed = Number(process.env["KVIX_SEED"] ?? randomInt(2 ** 31));

const CONNECTIONS = 4;
const WORKERS_PER_CONNECTION = 6;
const KEYS = 48;
/** A round is cut after so many acknowledgements, or after so long. */
const WRITES_MIN = 30;
const WRITES_MAX = 300;
const LOAD_MS_MAX = 6_000;
const CLEAN_EVERY = 8;
const COMPACTED_EVERY = 3;
const SEGMENT_BYTES = 32_768;
const LARGE_VALUE_BYTES = 20_000;
const SMALL_VALUE_BYTES_MAX = 600;
const SERVER_FLAGS = ["--lift-floors", "--segment-bytes-max", String(SEGMENT_BYTES)];
/** One compaction follows the other, so that kills fall into them too. */
const COMPACTION_FLAGS = ["--compaction", "manual", "--watch-retention", "0ms"];

const COMPACTION_PAUSE_MS = 10;
const DONE = CompactionPhase.DONE;

const { get, set, delete: remove } = KvService.method;

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Clients at work on one server, and the oracle that hears of everything. */
class Load {
  readonly #clients: RpcClient[];
  readonly #oracle: KillOracle;
  readonly #random: () => number;
  #isOver = false;
  segmentsCompacted = 0;
  #onCompacted: () => void = () => undefined;
  #written = 0;
  #acknowledged = 0;
  #cutAfter = 0;
  #cut: () => void = () => undefined;

  constructor(address: string, oracle: KillOracle, random: () => number) {
    // Without a pool of its own a client would share its neighbour's connection.
    const channel = { "grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0 };
    this.#clients = Array.from({ length: CONNECTIONS }, () => new RpcClient(address, channel));
    this.#oracle = oracle;
    this.#random = random;
  }

  /** Reads every key, as the restart left it. */
  async survey(): Promise<{ shown: Map<string, SeenRecord | undefined>; storeVersion: number }> {
    const shown = new Map<string, SeenRecord | undefined>();
    let storeVersion = 0;
    const read = async (key: string) => {
      const answer = await this.#clients[0]!.call(get, { key: Buffer.from(key) });
      const { record } = answer;
      shown.set(key, record && { value: record.value, version: Number(record.version) });
      storeVersion = Number(answer.storeVersion);
    };
    await Promise.all(Array.from({ length: KEYS }, (_, index) => read(`key-${index}`)));
    return { shown, storeVersion };
  }

  /** Resolves when so many writes were acknowledged. */
  acknowledgedBy(count: number): Promise<void> {
    this.#cutAfter = count;
    return new Promise((resolve) => {
      this.#cut = resolve;
    });
  }

  /** Resolves when a compaction has taken something. */
  compacted(): Promise<void> {
    return new Promise((resolve) => {
      this.#onCompacted = resolve;
    });
  }

  /** Sets, deletes and gets until `end`, or until the server is gone. */
  async run(round: number): Promise<void> {
    const workers = this.#clients.flatMap((client) =>
      Array.from({ length: WORKERS_PER_CONNECTION }, () => this.#work(client, round)),
    );
    await Promise.all([...workers, this.#compact(this.#clients[0]!)]);
  }

  /** Compacts until the end, or until the server is gone. */
  async #compact(client: RpcClient): Promise<void> {
    while (!this.#isOver) {
      try {
        for await (const { progress } of client.stream(AdminService.method.compact, {})) {
          if (progress === undefined) continue;
          if (progress.phase === DONE && progress.segmentsDone > 0) {
            this.segmentsCompacted += progress.segmentsDone;
            this.#onCompacted();
          }
          assert.notEqual(progress.outcome, CompactionOutcome.FAILED, progress.why);
        }
      } catch (error) {
        if (!this.#isStillThere(error)) return;
      }
      await sleep(COMPACTION_PAUSE_MS);
    }
  }

  end(): void {
    this.#isOver = true;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  async #work(client: RpcClient, round: number): Promise<void> {
    while (!this.#isOver) {
      const key = `key-${this.#upTo(KEYS)}`;
      const dice = this.#random();
      const isAlive =
        dice < 0.25
          ? await this.#read(client, key)
          : await this.#write(client, key, dice < 0.45 ? undefined : this.#value(key, round));
      if (!isAlive) return;
    }
  }

  /** False: the server is gone. */
  async #read(client: RpcClient, key: string): Promise<boolean> {
    const floor = this.#oracle.floorOf(key);
    try {
      const { record } = await client.call(get, { key: Buffer.from(key) });
      const seen = record && { value: record.value, version: Number(record.version) };
      this.#oracle.read(key, seen, floor);
      return true;
    } catch (error) {
      return this.#isStillThere(error);
    }
  }

  async #write(client: RpcClient, key: string, value: Uint8Array | undefined): Promise<boolean> {
    const durability = this.#random() < 0.5 ? Durability.SYNC : Durability.BUFFERED;
    const attempt = this.#oracle.begin(key, value);
    const request = { key: Buffer.from(key), durability };
    try {
      const { version } =
        value === undefined
          ? await client.call(remove, request)
          : await client.call(set, { ...request, value });
      this.#oracle.acknowledge(attempt, Number(version));
      if (++this.#acknowledged === this.#cutAfter) this.#cut();
      return true;
    } catch (error) {
      return this.#isStillThere(error, attempt);
    }
  }

  /** An assertion goes on up; a refusal is noted; anything else is a broken connection. */
  #isStillThere(error: unknown, attempt?: Attempt): boolean {
    if (error instanceof assert.AssertionError) throw error;
    if (!(error instanceof KvixError)) return false;
    if (error.outcome === "not-applied" && attempt !== undefined) this.#oracle.refuse(attempt);
    assert.equal(error.reason, "STORE_CLOSING", `the server refused: ${error.message}`);
    return false;
  }

  /** No two alike: the key, the round and a count, then filler that depends on them. */
  #value(key: string, round: number): Uint8Array {
    const mark = `${key}/${round}/${this.#written++}/`;
    const isLarge = this.#random() < 0.02;
    const bytes = isLarge ? LARGE_VALUE_BYTES : this.#upTo(SMALL_VALUE_BYTES_MAX);
    return Buffer.from(mark.padEnd(mark.length + bytes, mark));
  }

  #upTo(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test(`${rounds} kills under load lose nothing that was acknowledged (V1, V6, V8, V15, D4, M1, M3, M5, B3)`, async (t) => {
  t.diagnostic(`KVIX_SEED=${seed}`);
  const random = randomFrom(seed);
  const oracle = new KillOracle();
  const dataDir = makeDataDir(t);
  const totals = { acknowledged: 0, unknown: 0, compacted: 0 };
  for (let round = 0; round <= rounds; round++) {
    const server = await ServerProcess.start(dataDir, ...SERVER_FLAGS, ...COMPACTION_FLAGS);
    const load = new Load(server.address, oracle, random);
    try {
      const { shown, storeVersion } = await load.survey();
      oracle.restart(shown, storeVersion);
      // The last start only looks at what the last kill left.
      if (round === rounds) continue;
      const writes = Math.floor(WRITES_MIN + random() * (WRITES_MAX - WRITES_MIN));
      // Most kills fall into a compaction; some rounds let one come to its end.
      const isLong = round % COMPACTED_EVERY === COMPACTED_EVERY - 1;
      const enough = Promise.all([
        load.acknowledgedBy(writes),
        isLong ? load.compacted() : undefined,
      ]);
      const running = load.run(round);
      await Promise.race([running, enough, sleep(LOAD_MS_MAX)]);
      const isClean = round % CLEAN_EVERY === CLEAN_EVERY - 1;
      const ending = await server.end(isClean ? "SIGTERM" : "SIGKILL");
      if (isClean) assert.deepEqual(ending, { code: 0, signal: null });
      load.end();
      await running;
      const { acknowledged, unknown } = oracle.tally();
      totals.acknowledged += acknowledged;
      totals.unknown += unknown;
      totals.compacted += load.segmentsCompacted;
    } finally {
      load.end();
      load.close();
      await server.end("SIGKILL");
    }
  }
  const { acknowledged, unknown, compacted } = totals;
  t.diagnostic(`${acknowledged} acknowledged, ${unknown} of unknown fate, ${compacted} compacted`);
  // A load that does nothing, or is never cut, would prove nothing.
  assert.ok(totals.acknowledged > WRITES_MIN * rounds, "too little was written");
  assert.ok(totals.unknown > 0, "no kill fell into a write");
  assert.ok(totals.compacted > 0, "nothing was compacted");
});
