/**
 * The program that is traced: lives a life on the real machine, and tells of it.
 *
 *     node program.js DIRECTORY LIFE WALL_MS FIRST
 *
 * LIFE is a name or a seed (life.ts); FIRST is the number of its first write.
 *
 * It says which threads it has and waits for a line; then it begins. What the store
 * refuses is told and lived on with; what the store must not throw ends it.
 */
import { readlinkSync, writeSync } from "node:fs";
import { readlink } from "node:fs/promises";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { LocalStore } from "../../../src/engine/local-store.js";
import { openStore } from "../../../src/engine/open-store.js";
import type { Mutation } from "../../../src/engine/store.js";
import { nodeHost } from "../../../src/host/node-host.js";
import { unpaced } from "../../support/unpaced.js";
import { HeldClock } from "./held-clock.js";
import { type Life, type LifeStep, lifeNamed, type WriteStep } from "./life.js";
import { readAll } from "./reading.js";
import type { Asked, Line } from "./transcript.js";

/** How often it tries to open the store before it gives up. */
const openingsMax = 3;

const encoder = new TextEncoder();
const bytes = (text: string): Uint8Array => encoder.encode(text);

function tell(line: Line): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** A refusal, as it is told; anything else is a defect. */
function refusal(error: unknown): KvixError {
  if (error instanceof KvixError) return error;
  throw error;
}

class Program {
  readonly #life: Life;
  readonly #dataDir: string;
  readonly #clock: HeldClock;
  #store: LocalStore | undefined;
  #asked: number;

  constructor(dataDir: string, life: Life, wallMs: number, first: number) {
    this.#asked = first;
    this.#dataDir = dataDir;
    this.#life = life;
    this.#clock = new HeldClock(wallMs);
  }

  async run(): Promise<void> {
    for (const step of this.#life.steps) {
      if (await this.#do(step)) continue;
      tell({ at: "gave-up" });
      return;
    }
    tell({ at: "end" });
  }

  /** False: there is no going on. */
  async #do(step: LifeStep): Promise<boolean> {
    switch (step.do) {
      case "open":
        return await this.#open();
      case "close":
        await this.#close();
        return true;
      case "sync":
        await this.#sync();
        return true;
      case "tell":
        await this.#tellState();
        return true;
      case "pass":
        await this.#clock.pass(step.ms);
        return true;
      case "compact":
        await this.#compact();
        return true;
      case "write": {
        const compaction = step.isCompacting === true ? this.#compact() : undefined;
        await Promise.all(step.writes.map((write) => this.#write(write)));
        await compaction;
        return true;
      }
    }
  }

  get #opened(): LocalStore {
    if (this.#store === undefined) throw new Error("the store is not open");
    return this.#store;
  }

  async #open(): Promise<boolean> {
    const { segmentBytesMax, hasReserve = false, hasCheckpoint = false } = this.#life;
    const options = {
      dataDir: this.#dataDir,
      segmentBytesMax,
      diskReserveBytes: hasReserve ? 1 : 0,
      liftFloors: true,
      flushIntervalMs: 20,
      compaction: "manual",
      watchRetentionMs: 0,
      cacheBytesMax: 0,
    } as const;
    const host = { ...nodeHost(), clock: this.#clock };
    for (let attempt = 1; attempt <= openingsMax; attempt += 1) {
      try {
        const seams = {
          pacer: unpaced(this.#clock),
          ...(hasCheckpoint ? { checkpointKeysMin: 1 } : {}),
        };
        this.#store = await openStore(options, host, seams);
        tell({ at: "opened" });
        if (await this.#tellState()) return true;
        await this.#close();
      } catch (error) {
        tell({ at: "refused", what: "open", reason: refusal(error).reason });
      }
    }
    return false;
  }

  async #close(): Promise<void> {
    try {
      await this.#opened.close();
      tell({ at: "closed" });
    } catch (error) {
      tell({ at: "refused", what: "close", reason: reasonOf(error) });
    }
  }

  async #sync(): Promise<void> {
    try {
      await this.#opened.sync();
      tell({ at: "synced" });
    } catch (error) {
      tell({ at: "refused", what: "sync", reason: refusal(error).reason });
    }
  }

  async #compact(): Promise<void> {
    await this.#opened.hintsWritten();
    for await (const { outcome, why } of this.#opened.compact()) {
      if (outcome !== undefined) tell({ at: "compacted", outcome, why });
    }
  }

  /** False: a read was refused. */
  async #tellState(): Promise<boolean> {
    const nowMs = this.#clock.wallMs();
    const store = this.#opened;
    try {
      tell({ at: "state", nowMs, version: store.version, records: await readAll(store) });
      return true;
    } catch (error) {
      tell({ at: "refused", what: "read", reason: refusal(error).reason });
      return false;
    }
  }

  async #write(step: WriteStep): Promise<void> {
    const n = this.#asked;
    this.#asked += 1;
    tell({ at: "ask", n, what: this.#askedOf(step) });
    const isDurable = step.isBuffered !== true;
    try {
      const versions = await this.#call(step, isDurable ? "sync" : "buffered");
      tell({ at: "ack", n, isDurable, versions });
    } catch (error) {
      const { reason, outcome } = refusal(error);
      tell({ at: "reject", n, reason, outcome });
    }
  }

  #askedOf(step: WriteStep): Asked {
    const nowMs = this.#clock.wallMs();
    switch (step.kind) {
      case "set": {
        const { kind, key, value } = step;
        return { kind, key, value, expiresAtMs: this.#deadline(step.ttlMs) };
      }
      case "touch":
        return { kind: "touch", key: step.key, expiresAtMs: this.#deadline(step.ttlMs), nowMs };
      case "delete":
        return { kind: "delete", key: step.key };
      case "batch":
        return { kind: "batch", steps: step.steps };
    }
  }

  #deadline(ttlMs: number | undefined): number {
    return ttlMs === undefined ? 0 : this.#clock.wallMs() + ttlMs;
  }

  async #call(step: WriteStep, durability: "sync" | "buffered"): Promise<readonly number[]> {
    const store = this.#opened;
    if (step.kind === "batch") {
      const mutations = step.steps.map(
        ({ key, value }): Mutation =>
          value === undefined
            ? { kind: "delete", key: bytes(key) }
            : { kind: "set", key: bytes(key), value: bytes(value) },
      );
      const { results } = await store.commit(mutations, { durability });
      return results.map(({ version }) => version);
    }
    const key = bytes(step.key);
    if (step.kind === "delete") return [(await store.delete(key, { durability })).version];
    const { ttlMs } = step;
    const expiry =
      ttlMs === undefined ? ({ kind: "never" } as const) : ({ kind: "ttl", ttlMs } as const);
    if (step.kind === "touch") return [(await store.touch(key, expiry, { durability })).version];
    return [(await store.set(key, bytes(step.value), expiry, { durability })).version];
  }
}

/** A close throws what the system threw, too. */
function reasonOf(error: unknown): string {
  if (error instanceof KvixError) return error.reason;
  if (error instanceof Error && "code" in error) return String(error.code);
  throw error;
}

/** Waits for a line on stdin, and lets go of it. */
async function untilTold(): Promise<void> {
  await new Promise((resolve) => process.stdin.once("data", resolve));
  process.stdin.destroy();
}

const threadOf = (link: string): number => Number(link.split("/").at(-1));

const [dataDir = "", life = "", wallMs = "0", first = "0"] = process.argv.slice(2);
const program = new Program(dataDir, lifeNamed(life), Number(wallMs), Number(first));
tell({
  at: "ready",
  mainThread: threadOf(readlinkSync("/proc/thread-self")),
  poolThread: threadOf(await readlink("/proc/thread-self")),
});
await untilTold();
await program.run();
process.exit();
