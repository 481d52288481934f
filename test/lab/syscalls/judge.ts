/**
 * What must be true of a directory that a dead program has left:
 *
 *     checked -> opened, judged -> written to, read -> closed, checked
 *                               \-> and compacted    \-> opened again, the same
 *
 * All with the real engine on the real files. Only the locks are left out, which cost
 * two processes each: nobody else knows the directory. The wall clock stands still.
 */
import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LocalStore } from "../../../src/engine/local-store.js";
import { openStore } from "../../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../../src/engine/options.js";
import { verifyStore } from "../../../src/engine/verify.js";
import { severityOf } from "../../../src/engine/verify-findings.js";
import type { FileLock } from "../../../src/host/file-system.js";
import type { Host } from "../../../src/host/host.js";
import { NodeFileSystem } from "../../../src/host/node-file-system.js";
import { nodeHost } from "../../../src/host/node-host.js";
import { compact } from "../../support/compaction-rig.js";
import type { DurabilityOracle, OracleState } from "../../support/durability-oracle.js";
import { SimWorkers } from "../../support/sim-workers.js";
import { unpaced } from "../../support/unpaced.js";
import { HeldClock } from "./held-clock.js";
import { readAll } from "./reading.js";
import { stateOf } from "./transcript.js";

const encoder = new TextEncoder();
/** A key that no life writes. */
const newKey = "new";

/** Files of which nobody else knows. */
class UnlockedFiles extends NodeFileSystem {
  override async lock(_path: string): Promise<FileLock | undefined> {
    return { release: async () => undefined };
  }
}

/** What is to be judged. */
export interface Remains {
  readonly dataDir: string;
  /** All that the dead program had been told. */
  readonly oracle: DurabilityOracle;
  readonly nowMs: number;
  /** Whether it is compacted, and opened a second time; that costs as much as all the rest. */
  readonly isThorough: boolean;
  /** How it died, for the message. */
  readonly where: string;
}

/** Judges, and throws at the first thing that must not be. The directory is lived in. */
export async function judgeRemains(remains: Remains): Promise<void> {
  await new Judgement(remains).run();
}

class Judgement {
  readonly #remains: Remains;
  readonly #host: Host;
  readonly #options: StoreOptionsInput;
  #oracle: DurabilityOracle;

  constructor(remains: Remains) {
    this.#remains = remains;
    this.#oracle = remains.oracle;
    const clock = new HeldClock(remains.nowMs);
    const files = new UnlockedFiles();
    this.#host = { ...nodeHost(), files, clock, workers: new SimWorkers(clock) };
    this.#options = {
      dataDir: remains.dataDir,
      segmentBytesMax: 600,
      diskReserveBytes: 0,
      liftFloors: true,
      compaction: "manual",
      watchRetentionMs: 0,
      cacheBytesMax: 0,
    };
  }

  async run(): Promise<void> {
    // One that died in the making has no manifest, and is made anew.
    if (existsSync(join(this.#remains.dataDir, "MANIFEST"))) await this.#check("as it was left");
    const store = await this.#open();
    try {
      await this.#judge(store, "opened");
      await this.#write(store);
      await this.#same(store, "after a write");
      if (this.#remains.isThorough) await this.#compact(store);
    } finally {
      await store.close();
    }
    this.#oracle.allDurable();
    await this.#check("after the close");
    if (this.#remains.isThorough) await this.#openAgain();
  }

  #where(when: string): string {
    return `${this.#remains.where}: ${when}`;
  }

  async #open(): Promise<LocalStore> {
    return await openStore(this.#options, this.#host, { pacer: unpaced(this.#host.clock) });
  }

  async #check(when: string): Promise<void> {
    const { findings } = await verifyStore(this.#options, this.#host);
    const damage = findings.filter((finding) => severityOf(finding) === "damage");
    assert.deepEqual(damage, [], this.#where(when));
  }

  async #state(store: LocalStore): Promise<OracleState> {
    return stateOf(await readAll(store));
  }

  /** The state is one that the oracle allows; from here on it is the one. */
  async #judge(store: LocalStore, when: string): Promise<void> {
    const where = this.#where(when);
    const { damage } = store.stats();
    assert.deepEqual(damage, [], `${where}: a crash is no damage`);
    this.#oracle = this.#oracle.judge(await this.#state(store), this.#remains.nowMs, where);
    assert.ok(store.version >= this.#oracle.versionSeen, `${where}: the version went back`);
  }

  /** New keys, one that goes again, and one that was there before. */
  async #write(store: LocalStore): Promise<void> {
    await this.#set(store, newKey, "1");
    const [old = newKey] = this.#oracle.latest().keys();
    await this.#set(store, old, "x".repeat(300));
    await this.#set(store, newKey, "2");
  }

  async #set(store: LocalStore, key: string, value: string): Promise<void> {
    const ticket = this.#oracle.ask((state) => void state.set(key, { value, expiresAtMs: 0 }));
    const bytes = encoder.encode(key);
    const { version } = await store.set(bytes, encoder.encode(value), { kind: "never" });
    this.#oracle.acknowledge(ticket, true, [version]);
  }

  async #same(store: LocalStore, when: string): Promise<void> {
    this.#oracle.allDurable();
    await this.#judge(store, when);
  }

  async #compact(store: LocalStore): Promise<void> {
    const { outcome, why } = await compact({ store });
    assert.notEqual(outcome, "failed", this.#where(`compacted: ${why}`));
    await this.#same(store, "after a compaction");
  }

  async #openAgain(): Promise<void> {
    const store = await this.#open();
    try {
      assert.ok(store.stats().open.wasClean, this.#where("opened again: not as closed"));
      await this.#same(store, "opened again");
    } finally {
      await store.close();
    }
  }
}
