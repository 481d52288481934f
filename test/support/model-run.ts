/**
 * One run of a model test: an embedded store on a simulated machine, the model
 * beside it, and the oracle that says what a power cut may leave.
 */
import { strict as assert } from "node:assert";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import {
  type DeleteResult,
  type Durability,
  Kvix,
  type KvixRecord,
  type ListPage,
  type SetResult,
  type TouchResult,
} from "../../src/index.js";
import { DurabilityOracle, type OracleState } from "./durability-oracle.js";
import { type ModelAnswer, type ModelRecord, ModelReference } from "./model-reference.js";
import {
  type BatchStep,
  type ListStep,
  type ModelStep,
  modelKeys,
  type StepExpiry,
  type WriteStep,
} from "./model-steps.js";
import type { SimFileSystem } from "./sim-file-system.js";
import { type SimHost, simHost } from "./sim-host.js";
import { bytes } from "./store-rig.js";

const flushIntervalMs = 100;

/** Drives store, model and oracle through the same steps. */
export class ModelRun {
  readonly #segmentBytesMax: number;
  #host: SimHost = simHost({ seed: 1 });
  #model = new ModelReference();
  #oracle = new DurabilityOracle();
  #store: LocalStore | undefined;
  #writes = 0;
  #unknownVersion = 2 ** 47;

  constructor(segmentBytesMax: number) {
    this.#segmentBytesMax = segmentBytesMax;
  }

  get store(): LocalStore {
    assert.ok(this.#store);
    return this.#store;
  }

  get #kvix(): Kvix {
    return new Kvix(this.store);
  }

  get #nowMs(): number {
    return this.#host.clock.wallMs();
  }

  async run(steps: readonly ModelStep[]): Promise<void> {
    await this.#open();
    for (const step of steps) {
      await this.#take(step);
      await this.#compare();
    }
    await this.#reopen();
    await this.#compare();
    await this.store.close();
  }

  async #open(): Promise<void> {
    const options = { dataDir: "/store", liftFloors: true, diskReserveBytes: 0, flushIntervalMs };
    const segmentBytesMax = this.#segmentBytesMax;
    this.#store = await openStore({ ...options, segmentBytesMax }, this.#host);
    assert.deepEqual(this.store.stats().damage, []);
    assert.ok(this.store.version >= this.#oracle.versionSeen, "the version went back");
  }

  async #take(step: ModelStep): Promise<void> {
    const { clock } = this.#host;
    switch (step.kind) {
      case "group":
        await Promise.all(step.writes.map((write) => this.#write(write)));
        return;
      case "advance":
        await clock.advance(step.ms);
        await clock.settle();
        // Whatever was acknowledged before is synced by now.
        if (step.ms >= flushIntervalMs) this.#oracle.allDurable();
        return;
      case "stepWall":
        await this.#forgetExpired();
        clock.stepWall(step.ms);
        return;
      case "flush":
        await this.store.flush();
        this.#oracle.allDurable();
        return;
      case "list":
        return await this.#list(step);
      case "reopen":
        return await this.#reopen();
      case "kill":
        await this.#restart(this.#host.files.kill());
        this.#oracle.allDurable();
        return;
      case "powerCut":
        await this.#restart(this.#host.files.crash(step.policy, step.seed));
        await this.#adopt();
    }
  }

  async #reopen(): Promise<void> {
    await this.store.close();
    this.#oracle.allDurable();
    await this.#open();
    assert.equal(this.store.stats().open.tornBytesCut, 0);
  }

  async #restart(files: SimFileSystem): Promise<void> {
    this.#host = simHost({ seed: 2, files, clock: this.#host.clock });
    await this.#open();
  }

  /** Takes over what a power cut has left, if it may have left that. */
  async #adopt(): Promise<void> {
    const state: OracleState = new Map();
    this.#model = new ModelReference();
    for (const key of modelKeys) {
      const record = await this.#kvix.get(key);
      if (record === undefined) continue;
      const value = record.text();
      const expiresAtMs = record.expireTime?.getTime() ?? 0;
      state.set(key, { value, expiresAtMs });
      this.#model.records.set(key, { value, expiresAtMs, version: record.version });
    }
    this.#oracle = this.#oracle.judge(state, this.#nowMs, "after a power cut");
  }

  /** What has expired may be swept or not: with the clock stepped back one would see which. */
  async #forgetExpired(): Promise<void> {
    for (const key of modelKeys) {
      if (this.#model.visible(key, this.#nowMs) !== undefined) continue;
      const ticket = this.#oracle.ask((state) => void state.delete(key));
      const { deleted } = await this.#kvix.delete(key, { durability: "sync" });
      assert.equal(deleted, false);
      this.#oracle.acknowledge(ticket, true, []);
      this.#model.records.delete(key);
    }
  }

  async #compare(): Promise<void> {
    for (const key of modelKeys) {
      const expected = this.#model.visible(key, this.#nowMs);
      const record = await this.#kvix.get(key);
      sameRecord(record, expected, key);
      assert.equal(await this.#kvix.exists(key), expected !== undefined);
      assert.ok((record?.version ?? 0) <= this.store.version);
    }
    assert.equal(this.store.stats().inFlightBytes, 0);
  }

  #write(step: WriteStep | BatchStep): Promise<void> {
    return step.kind === "batch" ? this.#batch(step) : this.#single(step);
  }

  async #single(step: WriteStep): Promise<void> {
    const { key, durability, returnPrevious } = step;
    const value = this.#value(step.valueBytes);
    const options = { durability, returnPrevious, ...this.#conditionOf(step) };
    const ask = (expected: ModelAnswer): number => this.#oracle.ask(effectOf(key, expected));
    let result: SetResult | DeleteResult | TouchResult;
    let expected: ModelAnswer;
    let ticket: number;
    if (step.kind === "set") {
      expected = this.#model.set(key, value, step.expiry, step.condition, this.#nowMs);
      ticket = ask(expected);
      const set = await this.#kvix.set(key, value, { ...options, ...this.#expiryOf(step.expiry) });
      assert.equal(set.expireTime?.getTime() ?? 0, expected.written?.expiresAtMs ?? 0);
      result = set;
    } else if (step.kind === "touch") {
      expected = this.#model.touch(key, step.expiry, step.condition, this.#nowMs);
      ticket = ask(expected);
      const { returnPrevious: _, ...asked } = options;
      const expiry = step.expiry.kind === "ttl" || step.expiry.kind === "at";
      const given = expiry ? this.#expiryOf(step.expiry) : { persist: true };
      const touched = await this.#kvix.touch(key, { ...asked, ...given });
      assert.equal(touched.expireTime?.getTime() ?? 0, expected.written?.expiresAtMs ?? 0);
      assert.equal(touched.found, expected.written !== undefined);
      result = touched;
    } else {
      expected = this.#model.delete(key, step.condition, this.#nowMs);
      ticket = ask(expected);
      const gone = await this.#kvix.delete(key, options);
      assert.equal(gone.deleted, expected.deleted);
      result = gone;
    }
    assert.equal(result.applied, expected.applied);
    const wantsPrevious = returnPrevious && expected.applied;
    const previous = "previous" in result ? result.previous : undefined;
    if (step.kind !== "touch")
      sameRecord(previous, wantsPrevious ? expected.standing : undefined, key);
    sameRecord(result.current, expected.applied ? undefined : expected.standing, key);
    assert.equal(result.version > 0, expected.written !== undefined || expected.deleted);
    if (expected.written !== undefined) expected.written.version = result.version;
    this.#acknowledge(ticket, durability, [result.version]);
  }

  /** A page shows what stood when it was asked for, whatever is written while it is read. */
  async #list(step: ListStep): Promise<void> {
    const { from, to, reverse, keysOnly, pageSize, write } = step;
    if (from !== "" && to !== "" && from > to) return;
    let after: Uint8Array | undefined;
    for (let page: ListPage | undefined; page === undefined || after !== undefined; ) {
      const nowMs = this.#nowMs;
      const behind = after === undefined ? "" : Buffer.from(after).toString();
      const isLeft = (key: string): boolean =>
        behind === "" || (reverse ? key < behind : key > behind);
      const keys = this.#model.keys(from, to, nowMs).filter(isLeft);
      if (reverse) keys.reverse();
      const expected = keys.map((key) => [key, this.#model.visible(key, nowMs)] as const);
      const options = { start: from, end: to, reverse, keysOnly, pageSize };
      const listing = this.#kvix.listPage(options, after);
      const writing = this.#write(write);
      page = await listing;
      await writing;
      for (const [index, listed] of page.records.entries()) {
        const [key, record] = expected[index] ?? [];
        assert.equal(listed.keyText(), key);
        assert.equal(listed.expireTime?.getTime() ?? 0, record?.expiresAtMs);
        if (record?.version !== undefined) assert.equal(listed.version, record.version);
        if (keysOnly) assert.equal(listed.omission, "keys-only");
        else sameRecord(listed.record, record, key ?? "");
      }
      after = page.after;
      const isWhole = page.records.length === expected.length;
      assert.ok(after === undefined ? isWhole : page.records.length === pageSize || !isWhole);
    }
  }

  /** An answer that appended nothing says only of what it told that it is durable. */
  #acknowledge(ticket: number, durability: Durability, versions: readonly number[]): void {
    const hasAppended = versions.some((version) => version > 0);
    this.#oracle.acknowledge(ticket, durability === "sync" && hasAppended, versions);
  }

  async #batch({ members, durability }: BatchStep): Promise<void> {
    const first = members.filter(
      ({ key }, index) => members.findIndex((member) => member.key === key) === index,
    );
    const nowMs = this.#nowMs;
    const plans = first.map(({ key, isDelete, valueBytes, expiry }) => {
      const value = this.#value(valueBytes);
      const expected = isDelete
        ? this.#model.delete(key, "none", nowMs)
        : this.#model.set(key, value, expiry, "none", nowMs);
      const mutation = isDelete
        ? ({ kind: "delete", key: bytes(key) } as const)
        : ({
            kind: "set",
            key: bytes(key),
            value: bytes(value),
            expiry: engineExpiry(expiry, nowMs),
          } as const);
      return { mutation, expected, effect: effectOf(key, expected) };
    });
    const ticket = this.#oracle.ask((state) => {
      for (const { effect } of plans) effect(state);
    });
    const { results } = await this.store.commit(
      plans.map(({ mutation }) => mutation),
      { durability },
    );
    const versions = results.map(({ version }) => version);
    for (const [index, { expected }] of plans.entries()) {
      const version = versions[index] ?? -1;
      assert.equal(version > 0, expected.written !== undefined || expected.deleted);
      if (expected.written !== undefined) expected.written.version = version;
    }
    this.#acknowledge(ticket, durability, versions);
  }

  /** A value that no other write of the run has. */
  #value(length: number): string {
    this.#writes += 1;
    return length === 0 ? "" : `${this.#writes}:`.padEnd(length, "x");
  }

  #conditionOf({ condition, key }: WriteStep) {
    const known = this.#model.visible(key, this.#nowMs)?.version;
    if (condition === "absent") return { ifAbsent: true };
    if (condition === "present") return { ifPresent: true };
    if (condition === "none") return {};
    const isKnown = condition === "current" && known !== undefined;
    this.#unknownVersion += 1;
    return { ifVersion: isKnown ? known : this.#unknownVersion };
  }

  #expiryOf(expiry: StepExpiry) {
    if (expiry.kind === "never") return {};
    if (expiry.kind === "keep") return { keepTtl: true };
    return expiry.kind === "ttl" ? { ttlMs: expiry.ms } : { expireAt: this.#nowMs + expiry.ms };
  }
}

/** What a write does to the oracle's state, as the model decided it. */
function effectOf(key: string, { applied, written }: ModelAnswer): (state: OracleState) => void {
  if (!applied) return () => undefined;
  if (written === undefined) return (state) => void state.delete(key);
  const { value, expiresAtMs } = written;
  return (state) => void state.set(key, { value, expiresAtMs });
}

function engineExpiry(expiry: StepExpiry, nowMs: number) {
  switch (expiry.kind) {
    case "ttl":
      return { kind: "ttl", ttlMs: expiry.ms } as const;
    case "at":
      return { kind: "at", atMs: nowMs + expiry.ms } as const;
    default:
      return { kind: expiry.kind } as const;
  }
}

function sameRecord(
  record: KvixRecord | undefined,
  expected: ModelRecord | undefined,
  key: string,
): void {
  assert.equal(record?.text(), expected?.value, `the value of ${key}`);
  assert.equal(record?.expireTime?.getTime() ?? 0, expected?.expiresAtMs ?? 0, `expiry of ${key}`);
  if (expected?.version === undefined) return;
  assert.equal(record?.version, expected.version, `the version of ${key}`);
}
