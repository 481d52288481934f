/**
 * The life of one data directory: servers over it, one after the other, and one
 * oracle for all of them.
 *
 *     start -> survey -> load -> end, in one way or another -> start -> survey -> ... -> verify
 *
 * Each start is followed by a look at every key, which the oracle judges. At the
 * end the directory is closed well and `kvix verify` reads every byte of it.
 * Servers die with the process of the lab, whatever becomes of that (Linux).
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Reason } from "../../../src/base/error-catalogue.js";
import {
  type Ending,
  type LaunchOptions,
  runKvix,
  ServerProcess,
  StartFailure,
} from "../../support/server-process.js";
import { SimRandom } from "../../support/sim-random.js";
import type { SeenRecord } from "./attempts.js";
import { Counts } from "./counts.js";
import { ledgerMark } from "./ledger.js";
import { makeFolder, removeFolder } from "./life-folder.js";
import { Load, type LoadPlan, sleep, usualMix, valueMark } from "./load.js";
import { KillOracle, type Loss } from "./oracle.js";
import { keyMark, Session } from "./session.js";
import { hasTool } from "./tools.js";

/** A server on a busy machine, or one that reads a whole store, takes its time. */
const START_MS_MAX = 120_000;
/** A load that does not come to its acknowledgements is cut after so long. */
const LOAD_MS_MAX = 6000;

const LINES_TOLD = 15;

/** Reasons that any server may have at its end. */
const closing: readonly Reason[] = ["STORE_CLOSING"];

/** One life. */
export class Life {
  readonly random: SimRandom;
  readonly oracle = new KillOracle();
  readonly counts = new Counts();
  /** For files of the lab beside the store. */
  readonly folder: string;
  readonly keys: readonly string[];
  /** Where the store is; may be set anew by what mounts a disk. */
  dataDir: string;
  /** Options of every server of this life. */
  flags: readonly string[] = [];
  #server: ServerProcess | undefined;
  readonly #open = new Set<{ close(): void }>();
  #isClosed = false;

  constructor(seed: number, keys: number) {
    this.random = new SimRandom(seed);
    this.folder = makeFolder();
    this.dataDir = join(this.folder, "data");
    this.keys = Array.from({ length: keys }, (_, index) => `${keyMark}${index}`);
  }

  /** The server of now. */
  get server(): ServerProcess {
    assert.ok(this.#server, "there is a server");
    return this.#server;
  }

  /** The usual load, with what differs from it. */
  plan(differences: Partial<LoadPlan> = {}): LoadPlan {
    return {
      keys: this.keys,
      connections: 4,
      workersPerConnection: 6,
      mix: usualMix,
      valueBytesMax: 600,
      largeValueBytes: 20_000,
      isPatient: false,
      compacter: "rpc",
      ...differences,
    };
  }

  /** Starts a server and does not wait. */
  launch(options: LaunchOptions = {}): ServerProcess {
    // The lab was ended in the midst of a run, which goes on for a moment.
    assert.ok(!this.#isClosed, "the life is over");
    const wrapper = [...orphanGuard(), ...(options.wrapper ?? [])];
    const launched = { startMsMax: START_MS_MAX, ...options, wrapper };
    this.#server = ServerProcess.launch(this.dataDir, this.flags, launched);
    this.counts.add("starts");
    return this.#server;
  }

  /** Starts a server, waits until it serves, and has every key judged. */
  async start(loss: Loss = "process"): Promise<void> {
    await this.launch().serving;
    await this.survey(loss);
  }

  /** Has every key judged, while nobody writes. */
  async survey(loss: Loss = "process"): Promise<void> {
    const session = this.session();
    const { shown, storeVersion } = await session.survey(this.keys);
    this.#settle(shown, storeVersion, loss);
    // What is listed is what was read.
    await session.list(this.keys);
    session.close();
  }

  #settle(
    shown: ReadonlyMap<string, SeenRecord | undefined>,
    storeVersion: number,
    loss: Loss,
  ): void {
    this.oracle.restart(shown, storeVersion, loss);
    this.counts.add("keys surveyed", shown.size);
  }

  /** A connection of its own. */
  session(allowed: readonly Reason[] = []): Session {
    const session = new Session(this.#context(allowed));
    this.#open.add(session);
    return session;
  }

  /** Clients that are not yet at work. */
  load(plan: LoadPlan, allowed: readonly Reason[] = []): Load {
    const load = new Load(this.#context(allowed), plan, new SimRandom(this.random.bits()));
    this.#open.add(load);
    return load;
  }

  #context(allowed: readonly Reason[]) {
    return {
      address: this.server.address,
      oracle: this.oracle,
      counts: this.counts,
      allowed: new Set([...closing, ...allowed]),
    };
  }

  /**
   * Has a load at work until `isEnough` resolves, or for `msMax` (which may be
   * infinite), then does `end` and waits until the load is over.
   */
  async under(
    load: Load,
    isEnough: Promise<unknown>,
    end: () => Promise<void>,
    msMax = LOAD_MS_MAX,
  ): Promise<void> {
    const running = load.run();
    try {
      const cut = Number.isFinite(msMax) ? [sleep(msMax)] : [];
      await Promise.race([running, isEnough, ...cut]);
      await end();
    } finally {
      load.end();
      await running;
      load.close();
      this.#open.delete(load);
    }
  }

  /** `kill -9`, and what the process had to say. */
  async kill(): Promise<void> {
    const { server } = this;
    this.counts.add("kills");
    await server.end("SIGKILL");
    this.#judgeLog(server);
  }

  /** SIGTERM: it must end well. */
  async stop(): Promise<void> {
    assert.deepEqual(await this.end("SIGTERM"), { code: 0, signal: null });
    this.counts.add("clean stops");
  }

  /** Any end of the server. */
  async end(signal: NodeJS.Signals): Promise<Ending> {
    const { server } = this;
    const ending = await server.end(signal);
    this.#judgeLog(server);
    return ending;
  }

  /** A log has no key, no value, nothing but JSON, and no word of a defect (V12). */
  #judgeLog({ log }: ServerProcess, isCrashAllowed = false): void {
    for (const line of log) {
      const text = JSON.stringify(line);
      const isQuoting = [keyMark, ledgerMark, valueMark].some((mark) => text.includes(mark));
      assert.ok(!isQuoting, "a log quotes a record");
      assert.ok(!("bugId" in line), `a defect was logged: ${text}`);
      assert.ok(isCrashAllowed || !("notJson" in line), `a line of the log is no JSON: ${text}`);
    }
  }

  /** What a server that ran out of something had to say: Node itself may have spoken, too. */
  judgeCrashLog(server: ServerProcess): void {
    this.#judgeLog(server, true);
  }

  /** Starts servers and kills them before, or just when, they serve. */
  async interruptStarts(times: number, startMs: number): Promise<void> {
    for (let time = 0; time < times; time += 1) {
      const server = this.launch();
      await Promise.race([sleep(this.random.below(startMs)), server.exited]);
      await this.kill();
      const ending = await server.serving.then(
        () => undefined,
        (error: unknown) => (error instanceof StartFailure ? error.ending : error),
      );
      const isKilled = ending === undefined || isDeepKill(ending);
      assert.ok(isKilled, `a start failed by itself: ${JSON.stringify(server.log)}`);
      this.counts.add("kills during a start");
    }
  }

  /** Closes the store well, and reads all of its files. */
  async finish(): Promise<void> {
    await this.stop();
    const { code, stdout, stderr } = await runKvix("verify", this.dataDir);
    assert.equal(code, 0, `kvix verify: ${stdout}${stderr}`);
    this.counts.add("lives");
  }

  /** The end of the last server's log, for a finding. */
  tellServer(): string {
    const lines = this.#server?.log.slice(-LINES_TOLD) ?? [];
    return ["the server's last words:", ...lines.map((line) => JSON.stringify(line))].join("\n");
  }

  /** Ends what is left. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const each of this.#open) each.close();
    this.#open.clear();
    await this.#server?.end("SIGKILL");
  }

  /** Takes the files of this life away. */
  removeFolder(): void {
    removeFolder(this.folder);
  }
}

function isDeepKill(ending: unknown): boolean {
  return (
    typeof ending === "object" &&
    ending !== null &&
    "signal" in ending &&
    ending.signal === "SIGKILL"
  );
}

/** Words before a command that have the kernel kill it when the lab dies. */
function orphanGuard(): readonly string[] {
  if (process.platform !== "linux" || !hasTool("setpriv")) return [];
  return ["setpriv", "--pdeathsig", "KILL", "--"];
}
