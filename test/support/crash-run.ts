/**
 * One life of a store on a simulated machine, with an oracle beside it, up to
 * its natural end or to a crash at a chosen file operation.
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../src/base/kvix-error.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore, type StoreSeams } from "../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../src/engine/options.js";
import { setRunBytes } from "../../src/engine/set-run.js";
import type {
  Durability,
  Expiry,
  SetRunResult,
  StoredRecord,
  TouchExpiry,
} from "../../src/engine/store.js";
import { commitTwice } from "./commit-twice.js";
import { compact } from "./compaction-rig.js";
import { DurabilityOracle, type OracleState } from "./durability-oracle.js";
import { runOf } from "./set-runs.js";
import { SimClock } from "./sim-clock.js";
import { isCrash, type SimHook } from "./sim-hook.js";
import { type SimHost, simHost } from "./sim-host.js";
import { begin, checksumOf, send } from "./transfers.js";
import { unpaced } from "./unpaced.js";

/** Small enough that every run rolls over. */
export const tinyStore: StoreOptionsInput = {
  dataDir: "/store",
  segmentBytesMax: 600,
  liftFloors: true,
  diskReserveBytes: 0,
  compaction: "manual",
  watchRetentionMs: 0,
};

/** An error of reads that passes is over by then. */
const readsMax = 20;

const encoder = new TextEncoder();
const never = new Promise<never>(() => undefined);
const decoder = new TextDecoder();

/** A key as bytes. */
export const bytes = (text: string): Uint8Array => encoder.encode(text);

/** One change of a batch; value undefined: delete. */
export interface BatchStep {
  readonly key: string;
  readonly value: string | undefined;
}

/** A plain set of a run. */
export type SetPair = readonly [key: string, value: string];

/** Drives a store and tells the oracle what it is told. */
export class CrashRun {
  host: SimHost;
  oracle = new DurabilityOracle();
  readonly options: StoreOptionsInput;
  /** What every opening is given. */
  seams: StoreSeams = {};
  /** The disk may fail: what it makes of a compaction is no defect. */
  isFaulty = false;
  /** Bytes could not be read once, and that is remembered for good. */
  mayBeDamaged = false;
  /** Set when the crash has happened. */
  hasCrashed = false;
  #store: LocalStore | undefined;
  #onCrash: () => void = () => undefined;
  readonly #keys = new Set<string>();
  /** Every version that was ever read or told, and what it is: for good (V15, M4). */
  #versions = new Map<number, string>();

  constructor(options: StoreOptionsInput = tinyStore, host: SimHost = simHost({ seed: 1 })) {
    this.options = options;
    this.host = host;
  }

  /** Whether an opening has come to its end. */
  get hasOpened(): boolean {
    return this.#store !== undefined;
  }

  /** Every key that was ever written. */
  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  get store(): LocalStore {
    assert.ok(this.#store, "the store is open");
    return this.#store;
  }

  /** Runs `life`; answers whether it came to its end. A crash ends it wherever it is. */
  async live(life: (run: CrashRun) => Promise<void>, hook?: SimHook): Promise<boolean> {
    const crashed = new Promise<false>((resolve) => {
      this.#onCrash = () => {
        this.hasCrashed = true;
        resolve(false);
      };
    });
    this.host.files.onOperation = (operation) => {
      const verdict = hook?.(operation);
      if (isCrash(verdict)) this.#onCrash();
      return verdict;
    };
    const ended = life(this).then(
      () => true as const,
      (error: unknown) => {
        // What a dead process throws is of no interest; what a live one throws is a defect.
        if (this.hasCrashed) return false as const;
        throw error;
      },
    );
    return Promise.race([ended, crashed]);
  }

  async open(): Promise<void> {
    this.#store = await openStore(this.options, this.host, {
      pacer: unpaced(this.host.clock),
      ...this.seams,
    });
  }

  /** Compacts all there is, by the policy; what a crash makes of it is of no interest to the oracle. */
  async compact(): Promise<void> {
    await this.store.hintsWritten();
    const end = await compact(this);
    if (this.hasCrashed) return await never;
    if (!this.isFaulty) assert.notEqual(end.outcome, "failed", end.why);
  }

  /** The disk has so much room from now on; and, if the store had found it full, time passes. */
  async makeRoom(freeBytes = 2 ** 40): Promise<void> {
    const { files, clock } = this.host;
    const wasFreeBytes = files.disk.freeBytes;
    files.capacityBytes += freeBytes - wasFreeBytes;
    if (wasFreeBytes >= freeBytes / 2 && !this.store.stats().condition.full) return;
    // The store looks again after 250 ms, and restores its reserve then.
    await clock.advance(300);
    await this.set("nudge", "1");
    await clock.settle();
  }

  async close(): Promise<void> {
    await this.store.close();
    this.oracle.allDurable();
  }

  set(key: string, value: string, options: { expiry?: Expiry; durability?: Durability } = {}) {
    const { expiry = { kind: "never" }, durability = "sync" } = options;
    this.#keys.add(key);
    const expiresAtMs =
      expiry.kind === "ttl"
        ? this.host.clock.wallMs() + expiry.ttlMs
        : expiry.kind === "at"
          ? expiry.atMs
          : 0;
    const apply = (state: OracleState): void => void state.set(key, { value, expiresAtMs });
    return this.#settle(apply, durability, async () => {
      const result = await this.store.set(bytes(key), bytes(value), expiry, { durability });
      if (!this.hasCrashed) this.#know(result.version, `${key}=${value}@${expiresAtMs}`);
      return [result.version];
    });
  }

  /** A set whose value is uploaded in two pieces. It has its place when it is finished. */
  async upload(key: string, value: string, { ttlMs = 0, durability = "sync" as Durability } = {}) {
    this.#keys.add(key);
    const content = bytes(value);
    const expiry = ttlMs === 0 ? ({ kind: "never" } as const) : ({ kind: "ttl", ttlMs } as const);
    const staged = await this.#staged(async () => {
      const upload = await begin(this.store, bytes(key), content.length, { expiry, durability });
      await send(upload, content, Math.ceil(content.length / 2));
      return upload;
    });
    if (staged instanceof KvixError) return staged;
    const expiresAtMs = ttlMs === 0 ? 0 : this.host.clock.wallMs() + ttlMs;
    const apply = (state: OracleState): void => void state.set(key, { value, expiresAtMs });
    return await this.#settle(apply, durability, async () => {
      const { version } = await staged.finish(checksumOf(content));
      if (!this.hasCrashed) this.#know(version, `${key}=${value}@${expiresAtMs}`);
      return [version];
    });
  }

  /** An upload of which half comes; then it is given up, or ended with a wrong checksum. */
  async uploadHalf(key: string, value: string, end: "abort" | "mismatch"): Promise<void> {
    const content = bytes(value);
    const ended = await this.#staged(async () => {
      const upload = await begin(this.store, bytes(key), content.length);
      await send(upload, content.subarray(0, content.length / 2));
      if (end === "abort") return await upload.abort();
      await upload.finish(checksumOf(content));
      assert.fail("half an upload is applied");
    });
    const reason = ended instanceof KvixError ? ended.reason : undefined;
    if (this.isFaulty) return;
    assert.equal(reason, end === "abort" ? undefined : "UPLOAD_MISMATCH");
  }

  /** What comes before a write: it leaves nothing if it fails, and tells a dead process nothing. */
  async #staged<Result>(call: () => Promise<Result>): Promise<Result | KvixError> {
    try {
      const result = await call();
      return this.hasCrashed ? await never : result;
    } catch (error) {
      if (this.hasCrashed) return await never;
      if (!(error instanceof KvixError)) throw error;
      assert.equal(error.outcome, "not-applied", error.message);
      return error;
    }
  }

  /** A touch of a key that is there and stays visible: `expiry` counts from now. */
  touch(key: string, expiry: TouchExpiry, durability: Durability = "sync") {
    const nowMs = this.host.clock.wallMs();
    const expiresAtMs =
      expiry.kind === "never" ? 0 : expiry.kind === "at" ? expiry.atMs : nowMs + expiry.ttlMs;
    const apply = (state: OracleState): void => {
      const standing = state.get(key);
      if (standing === undefined) return;
      if (standing.expiresAtMs !== 0 && nowMs >= standing.expiresAtMs) return;
      state.set(key, { value: standing.value, expiresAtMs });
    };
    return this.#settle(apply, durability, async () => {
      const result = await this.store.touch(bytes(key), expiry, { durability });
      return [result.version];
    });
  }

  delete(key: string, durability: Durability = "sync") {
    const apply = (state: OracleState): void => void state.delete(key);
    return this.#settle(apply, durability, async () => {
      const result = await this.store.delete(bytes(key), { durability });
      return [result.version];
    });
  }

  /** A commit under an id of its own, sent a second time at once: only one of the two makes it. */
  batch(steps: readonly BatchStep[], durability: Durability = "sync") {
    for (const { key } of steps) this.#keys.add(key);
    const apply = (state: OracleState): void => {
      for (const { key, value } of steps) {
        if (value === undefined) state.delete(key);
        else state.set(key, { value, expiresAtMs: 0 });
      }
    };
    const mutations = steps.map(({ key, value }) =>
      value === undefined
        ? ({ kind: "delete", key: bytes(key) } as const)
        : ({ kind: "set", key: bytes(key), value: bytes(value) } as const),
    );
    return this.#settle(apply, durability, async () => {
      const results = await commitTwice(this.store, mutations, durability);
      return results.map(({ version }) => version);
    });
  }

  /**
   * Plain sets, asked for as one run: each is a write of its own, and all have one answer.
   * Such as are too long for a run are asked for one by one.
   */
  async sets(pairs: readonly SetPair[], durability: Durability = "sync") {
    const runBytes = pairs.reduce(
      (sum, [key, value]) => sum + setRunBytes(bytes(key).length, bytes(value).length),
      0,
    );
    if (runBytes > this.store.setRunBytesMax) {
      const ends = await Promise.all(
        pairs.map(([key, value]) => this.set(key, value, { durability })),
      );
      return ends.find((end) => end !== undefined);
    }
    for (const [key] of pairs) this.#keys.add(key);
    const applies = pairs.map(([key, value]) => (state: OracleState): void => {
      state.set(key, { value, expiresAtMs: 0 });
    });
    const records = pairs.map(([key, value]) => ({ key: bytes(key), value: bytes(value) }));
    return await this.#settleEach(applies, durability, async () => {
      const { firstVersion, refused } = await new Promise<SetRunResult>((resolve, reject) =>
        this.store.submitSets(runOf(records), { durability }, { resolve, reject }),
      );
      assert.equal(refused, undefined, "the index has room");
      return pairs.map(([key, value], at) => {
        if (!this.hasCrashed) this.#know(firstVersion + at, `${key}=${value}@0`);
        return [firstVersion + at];
      });
    });
  }

  /** Every record of the keys ever written, read through the store. */
  async state(): Promise<OracleState> {
    const state: OracleState = new Map();
    for (const key of this.#keys) {
      const record = await this.#read(key);
      if (record === undefined) continue;
      const { expiresAtMs, version } = record;
      const value = decoder.decode(record.value);
      this.#know(version, `${key}=${value}@${expiresAtMs}`);
      state.set(key, { value, expiresAtMs });
    }
    return state;
  }

  /** A read that the disk refused may be tried again, and errors pass. */
  async #read(key: string): Promise<StoredRecord | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.store.get(bytes(key));
      } catch (error) {
        const isPassing = error instanceof KvixError && error.reason === "READ_FAILED";
        if (!this.isFaulty || !isPassing || attempt === readsMax) throw error;
      }
    }
  }

  #know(version: number, what: string): void {
    const known = this.#versions.get(version) ?? what;
    assert.equal(what, known, `V15: version ${version} is two things`);
    this.#versions.set(version, what);
  }

  /** The next life, over what `host` has, with what this one was told. */
  next(host: SimHost): CrashRun {
    const run = new CrashRun(this.options, host);
    run.oracle = this.oracle;
    run.seams = this.seams;
    run.#versions = new Map(this.#versions);
    run.mayBeDamaged = this.mayBeDamaged;
    for (const key of this.#keys) run.#keys.add(key);
    return run;
  }

  /** This very moment: the machine, and what was told; this run goes on. */
  capture(): CrashRun {
    const { files, clock } = this.host;
    const there = new SimClock({ wallMs: clock.wallMs() });
    const run = this.next(simHost({ seed: 1, files: files.fork(), clock: there }));
    run.oracle = this.oracle.clone();
    return run;
  }

  /** Opens, and asserts that the state is one the oracle allows. */
  async openAndJudge(where: string): Promise<void> {
    await this.open();
    await this.takeForDurable(where);
    const names = (await this.host.files.list("/store/segments")).map(({ name }) => name);
    const staged = names.filter((name) => name.startsWith("upload_"));
    if (!this.isFaulty) assert.deepEqual(staged, [], `${where}: a staging file is left`);
    if (this.mayBeDamaged) return;
    assert.deepEqual(this.store.stats().damage, [], `${where}: a crash is no damage`);
  }

  /** Asserts that the state is one the oracle allows. What a store opens with is durable. */
  async takeForDurable(where: string): Promise<void> {
    const state = await this.state();
    this.oracle = this.oracle.judge(state, this.host.clock.wallMs(), where);
    assert.ok(this.store.version >= this.oracle.versionSeen, `${where}: the version went back`);
  }

  #settle(
    apply: (state: OracleState) => void,
    durability: Durability,
    call: () => Promise<readonly number[]>,
  ): Promise<KvixError | undefined> {
    return this.#settleEach([apply], durability, async () => [await call()]);
  }

  /** Several writes, one behind the other, with one answer: the versions of each. */
  async #settleEach(
    applies: readonly ((state: OracleState) => void)[],
    durability: Durability,
    call: () => Promise<readonly (readonly number[])[]>,
  ): Promise<KvixError | undefined> {
    const { oracle } = this;
    const tickets = applies.map((apply) => oracle.ask(apply));
    try {
      const versions = await call();
      // A dead process tells nobody anything, and goes no further.
      if (this.hasCrashed) return await never;
      for (const [at, ticket] of tickets.entries()) {
        oracle.acknowledge(ticket, durability === "sync", versions[at] ?? []);
      }
      return undefined;
    } catch (error) {
      if (this.hasCrashed) return await never;
      assert.ok(error instanceof KvixError, `not a KvixError: ${String(error)}`);
      const outcome = error.outcome === "unknown" ? "unknown" : "not-applied";
      for (const ticket of tickets) oracle.reject(ticket, outcome);
      return error;
    }
  }
}
