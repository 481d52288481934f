/**
 * Clients at work on one server: workers on several connections, each with
 * choices of its own that follow from the seed, and somebody who compacts.
 *
 *     running --end()--> over          every call that was begun comes to its end
 *     running --server gone--> over    for workers that are not patient
 */
import assert from "node:assert/strict";
import { AdminService, CompactionOutcome, CompactionPhase } from "../../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import { runKvix } from "../../support/server-process.js";
import { SimRandom } from "../../support/sim-random.js";
import type { Write } from "./attempts.js";
import { type Result, Session, type SessionContext } from "./session.js";

/** Out of a hundred calls. The rest reads. */
export interface Mix {
  readonly sets: number;
  readonly deletes: number;
  readonly touches: number;
  readonly lists: number;
  readonly syncs: number;
}

/** What a load is like. */
export interface LoadPlan {
  readonly keys: readonly string[];
  readonly connections: number;
  readonly workersPerConnection: number;
  readonly mix: Mix;
  readonly valueBytesMax: number;
  /** One value of fifty is of this size; 0: none. */
  readonly largeValueBytes: number;
  /** Every second connection gives up its calls after so long; undefined: none does. */
  readonly timeoutMs?: number;
  /** Workers go on when the connection breaks. */
  readonly isPatient: boolean;
  /** Who compacts, one run after the other. */
  readonly compacter: "rpc" | "command" | "nobody";
  /** A compaction may end as failed. */
  readonly mayCompactionFail?: boolean;
}

/** The mix of most lives. */
export const usualMix: Mix = { sets: 45, deletes: 17, touches: 11, lists: 2, syncs: 1 };

/** What stands in every value, so that a log that quotes one is found out. */
export const valueMark = "v4lue";

const SHORT_TTL_MS_MAX = 1500;
const LONG_TTL_MS = 3_600_000;
const PATIENCE_MS = 20;
const COMPACTION_PAUSE_MS = 10;

/** Values that differ, over all loads of the process. */
let valuesMade = 0;

/** Workers, until the end. */
export class Load {
  readonly sessions: readonly Session[];
  readonly #context: SessionContext;
  readonly #plan: LoadPlan;
  readonly #random: SimRandom;
  #isOver = false;
  #acknowledged = 0;
  #compactions = 0;
  readonly #waiting: { readonly isReached: () => boolean; readonly tell: () => void }[] = [];

  constructor(context: SessionContext, plan: LoadPlan, random: SimRandom) {
    this.#context = context;
    this.#plan = plan;
    this.#random = random;
    this.sessions = Array.from({ length: plan.connections }, () => new Session(context));
  }

  /** How many writes were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Works until the end, or until the server is gone. */
  async run(): Promise<void> {
    const { workersPerConnection, timeoutMs, compacter } = this.#plan;
    const workers = this.sessions.flatMap((session, index) =>
      Array.from({ length: workersPerConnection }, () =>
        this.#work(
          session,
          new SimRandom(this.#random.bits()),
          index % 2 === 1 ? timeoutMs : undefined,
        ),
      ),
    );
    const first = this.sessions[0];
    if (compacter !== "nobody" && first !== undefined) workers.push(this.#compact(first));
    try {
      await Promise.all(workers);
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
  }

  /** Resolves when so many writes were acknowledged since it began. */
  acknowledgedBy(count: number): Promise<void> {
    return this.#until(() => this.#acknowledged >= count);
  }

  /** Resolves when a compaction has taken something. */
  compacted(): Promise<void> {
    return this.#until(() => this.#compactions > 0);
  }

  end(): void {
    this.#isOver = true;
  }

  close(): void {
    this.end();
    for (const session of this.sessions) session.close();
  }

  #until(isReached: () => boolean): Promise<void> {
    return new Promise((tell) => void this.#waiting.push({ isReached, tell }));
  }

  #look(): void {
    for (const { isReached, tell } of this.#waiting) if (isReached()) tell();
  }

  async #work(session: Session, random: SimRandom, timeoutMs: number | undefined): Promise<void> {
    while (!this.#isOver) {
      const result = await this.#step(session, random, timeoutMs);
      if (result === "done" || result === "deadline") continue;
      const isGone = result === "gone" || result === "STORE_CLOSING";
      if (isGone && !this.#plan.isPatient) return;
      await sleep(PATIENCE_MS);
    }
  }

  async #step(session: Session, random: SimRandom, timeoutMs: number | undefined): Promise<Result> {
    const { mix, keys } = this.#plan;
    const key = random.pick(keys);
    let dice = random.below(100);
    const falls = (share: number): boolean => {
      dice -= share;
      return dice < 0;
    };
    if (falls(mix.lists)) return await session.list(keys, timeoutMs);
    if (falls(mix.syncs)) return await session.sync(timeoutMs);
    const write = this.#draw(key, random, falls);
    if (write === undefined) return await session.read(key, timeoutMs);
    const isSync = random.chance(0.5);
    const ifAbsent = write.kind === "set" && random.chance(0.1);
    const result = await session.write(key, write, { isSync, ifAbsent, timeoutMs });
    if (result === "done") {
      this.#acknowledged += 1;
      this.#look();
    }
    return result;
  }

  /** A write; undefined: a read is due. */
  #draw(key: string, random: SimRandom, falls: (share: number) => boolean): Write | undefined {
    const { mix } = this.#plan;
    const ttl = random.below(4);
    const ttlMs =
      ttl === 0 ? 1 + random.below(SHORT_TTL_MS_MAX) : ttl === 1 ? LONG_TTL_MS : undefined;
    const lifetime = { ttlMs, isInstant: random.chance(0.5) };
    if (falls(mix.sets)) return { kind: "set", value: this.makeValue(key, random), ...lifetime };
    if (falls(mix.deletes)) return { kind: "delete" };
    if (falls(mix.touches)) return { kind: "touch", ...lifetime };
    return undefined;
  }

  /** No two alike: a mark, the key and a count, then filler that depends on them. */
  makeValue(key: string, random: SimRandom): Uint8Array {
    const { largeValueBytes, valueBytesMax } = this.#plan;
    valuesMade += 1;
    const mark = `${valueMark}/${key}/${process.pid}/${valuesMade}/`;
    const isLarge = largeValueBytes > 0 && random.chance(0.02);
    const bytes = isLarge ? largeValueBytes : random.below(valueBytesMax);
    return Buffer.from(mark.padEnd(mark.length + bytes, mark));
  }

  /** Compacts until the end, or until the server is gone. */
  async #compact(session: Session): Promise<void> {
    while (!this.#isOver) {
      const isThere =
        this.#plan.compacter === "command" ? await this.#byCommand() : await this.#byRpc(session);
      if (!isThere && !this.#plan.isPatient) return;
      await sleep(COMPACTION_PAUSE_MS);
    }
  }

  async #byRpc({ client }: Session): Promise<boolean> {
    try {
      for await (const { progress } of client.stream(AdminService.method.compact, {})) {
        if (progress?.phase !== CompactionPhase.DONE) continue;
        const mayFail = this.#plan.mayCompactionFail === true;
        const isSound = mayFail || progress.outcome !== CompactionOutcome.FAILED;
        assert.ok(isSound, `a compaction failed: ${progress.why}`);
        this.#took(progress.segmentsDone);
      }
      return true;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return error instanceof KvixError && error.reason !== "STORE_CLOSING";
    }
  }

  /** `kvix compact`; what it says is not judged, for the server may end at any time. */
  async #byCommand(): Promise<boolean> {
    const { stdout } = await runKvix("compact", "--json", "--endpoint", this.#context.address);
    const segments = /"segmentsDone":\s*"?(\d+)/.exec(stdout)?.[1];
    if (segments === undefined) return false;
    this.#took(Number(segments));
    return true;
  }

  #took(segments: number): void {
    if (segments === 0) return;
    this.#context.counts.add("segments compacted", segments);
    this.#compactions += 1;
    this.#look();
  }
}

/** Waits. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
