/**
 * Makes a history: clients at work on a server, life after life.
 *
 *     life: start -> every key and the ballast are read -> all clients at once, pauses, cuts -> end
 *
 * An end falls into the midst of the work: clients go on until they notice. The last
 * life is one more start, in which every key is read, and the ballast, so that nothing
 * that was lost before the last end goes unseen.
 */
import { AdminService, CompactionOutcome, CompactionPhase } from "../../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../../src/rpc/client.js";
import { SimRandom } from "../../support/sim-random.js";
import { Ballast } from "./ballast.js";
import { type ClientEnvironment, operate, survey } from "./client.js";
import { CommitClients } from "./commit-clients.js";
import { commitFaults } from "./commit-order.js";
import { type Operation, Recorder } from "./history.js";
import type { Life, Plan } from "./plan.js";
import type { LiveServer, StartServer } from "./server-lives.js";

/** What was made, and how. */
export interface LiveHistory {
  readonly operations: readonly Operation[];
  readonly refusedWrites: number;
  readonly kills: number;
  readonly stops: number;
  readonly pauses: number;
  readonly cuts: number;
  readonly segmentsCompacted: number;
  /** Operations on several keys, and how many answers were those of a first request. */
  readonly commits: number;
  /** It could not be judged: a repeat came later than ids are kept for. */
  readonly commitHistoriesInDoubt: number;
  readonly segmentsCompactedBesideCommits: number;
  readonly repeats: number;
  /** Requests that were sent again after they had been answered, and were still known. */
  readonly repeatsOfAnswered: number;
  /** What is wrong apart from the history. */
  readonly faults: readonly string[];
}

/** A client of its own connection; without a pool of its own it would share its neighbour's. */
const channelOptions = { "grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0 };
const callMsAtFirst = 10;
const pauseMsMax = 120;
const placesBetweenCompactions = 100;
const placesBetweenBallast = 4;
/** All of the ballast is read after so many writes of it, if a compaction has moved something. */
const writesBetweenLooks = 100;

/** Carries out `plan` on the servers that `start` starts. */
export async function makeHistory(
  plan: Plan,
  start: StartServer,
  random: SimRandom,
): Promise<LiveHistory> {
  const maker = new Maker(plan, start, random);
  // grpc-js notes where each call was made, which is a quarter of what a call costs.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return await maker.run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

class Maker {
  readonly #plan: Plan;
  readonly #start: StartServer;
  readonly #recorder = new Recorder();
  readonly #faults = new Set<string>();
  readonly #environment: ClientEnvironment;
  readonly #ballast: Ballast;
  readonly #commits: CommitClients;
  readonly #sums = { kills: 0, stops: 0, pauses: 0, cuts: 0, segmentsCompacted: 0 };

  constructor(plan: Plan, start: StartServer, random: SimRandom) {
    this.#plan = plan;
    this.#start = start;
    this.#ballast = new Ballast(random, plan.valueBytesMax);
    this.#commits = new CommitClients(new SimRandom(random.below(2 ** 30)), plan.keptMs);
    this.#environment = {
      plan,
      random,
      recorder: this.#recorder,
      find: (text) => void this.#faults.add(text),
      met: [],
      callMs: callMsAtFirst,
      values: 0,
    };
  }

  async run(): Promise<LiveHistory> {
    for (const life of this.#plan.lives) await this.#live(life);
    await this.#live({ operations: 0, ending: "stop", pauses: 0, cuts: 0 });
    const { operations, refusedWrites } = this.#recorder;
    const { operations: commits, repeats, later, openCount, faults } = this.#commits;
    if (openCount > 0) this.#faults.add(`${openCount} requests were not answered to the end`);
    for (const fault of faults) this.#faults.add(fault);
    const { isInDoubt } = this.#commits;
    if (!isInDoubt) for (const fault of commitFaults(commits)) this.#faults.add(fault);
    const isBeside = !isInDoubt && commits.length > 0;
    const sums = {
      ...this.#sums,
      commits: isInDoubt ? 0 : commits.length,
      commitHistoriesInDoubt: Number(isInDoubt),
      segmentsCompactedBesideCommits: isBeside ? this.#sums.segmentsCompacted : 0,
      repeats,
      repeatsOfAnswered: later,
    };
    return { operations, refusedWrites, ...sums, faults: [...this.#faults] };
  }

  async #live(life: Life): Promise<void> {
    const server = await this.#start();
    const load = new LifeLoad(server, life, this.#environment, this.#ballast, this.#commits);
    try {
      await load.settleCommits();
      await load.survey();
      for (const fault of await load.surveyBallast()) this.#faults.add(fault);
      const running = load.run();
      await Promise.race([running, load.whenDone]);
      const faults = await server.end(life.ending);
      load.end();
      await running;
      for (const fault of faults) this.#faults.add(fault);
      if (life.operations > 0) this.#sums[life.ending === "kill" ? "kills" : "stops"] += 1;
      this.#sums.pauses += load.pauses;
      this.#sums.cuts += load.cuts;
      this.#sums.segmentsCompacted += load.segmentsCompacted;
    } finally {
      load.end();
      await server.end("kill");
    }
  }
}

/** The clients of one life. */
class LifeLoad {
  pauses = 0;
  cuts = 0;
  segmentsCompacted = 0;
  /** A compaction has moved something since the ballast was read. */
  #hasMoved = false;
  readonly whenDone: Promise<void>;
  readonly #server: LiveServer;
  readonly #life: Life;
  readonly #environment: ClientEnvironment;
  readonly #ballast: Ballast;
  readonly #commits: CommitClients;
  readonly #rpcs: RpcClient[];
  readonly #forgets: (() => void)[] = [];
  #begun = 0;
  #isOver = false;
  #setDone: () => void = () => undefined;

  constructor(
    server: LiveServer,
    life: Life,
    environment: ClientEnvironment,
    ballast: Ballast,
    commits: CommitClients,
  ) {
    this.#commits = commits;
    this.#server = server;
    this.#life = life;
    this.#environment = environment;
    this.#ballast = ballast;
    this.#rpcs = Array.from({ length: environment.plan.connections }, () => this.#connect());
    this.whenDone = new Promise((resolve) => {
      this.#setDone = resolve;
    });
  }

  /** Reads every key, one answer after the other. */
  async survey(): Promise<void> {
    for (let key = 0; key < this.#environment.plan.keys; key += 1) {
      const rpc = this.#rpcs[0] as RpcClient;
      const ending = await survey(key, rpc, this.#environment);
      if (ending === "broken") this.#renew(0);
    }
  }

  /** Reads the ballast; what is wrong with it. */
  async surveyBallast(): Promise<readonly string[]> {
    return await this.#ballast.faults(this.#rpcs[0] as RpcClient);
  }

  /** Repeats what was of unknown outcome in the life before. */
  async settleCommits(): Promise<void> {
    if (this.#environment.plan.commitClients === 0) return;
    const rpc = this.#connect();
    await this.#commits.settle(rpc);
    rpc.close();
  }

  /** All clients, until `end` or until the server is gone. */
  async run(): Promise<void> {
    const { clients, commitClients, isCompacted } = this.#environment.plan;
    if (this.#life.operations === 0) return;
    this.#plant();
    const work = Array.from({ length: clients }, (_, client) => this.#work(client));
    const isOver = () => this.#isOver || this.#begun >= this.#life.operations;
    const commits = Array.from({ length: commitClients }, () => {
      return this.#commits.work(() => this.#connect(), isOver);
    });
    const beside = [this.#load(), isCompacted ? this.#compact() : undefined];
    await Promise.all([...work, ...commits, ...beside]);
  }

  end(): void {
    this.#isOver = true;
    for (const forget of this.#forgets) forget();
    for (const rpc of this.#rpcs) rpc.close();
  }

  /** Pauses and cuts, somewhere in the life. */
  #plant(): void {
    const { recorder, random } = this.#environment;
    const { operations, pauses, cuts } = this.#life;
    const plant = (then: () => void) => {
      this.#forgets.push(recorder.after(1 + random.below(2 * operations), then));
    };
    for (let count = 0; count < pauses; count += 1) {
      plant(() => void this.#pause(1 + random.below(pauseMsMax)));
    }
    for (let count = 0; count < cuts; count += 1) {
      plant(() => {
        if (this.#server.cut()) this.cuts += 1;
      });
    }
  }

  async #pause(ms: number): Promise<void> {
    if (await this.#server.pause(ms)) this.pauses += 1;
  }

  async #work(client: number): Promise<void> {
    const at = client % this.#rpcs.length;
    while (!this.#isOver) {
      if (++this.#begun === this.#life.operations) this.#setDone();
      const rpc = this.#rpcs[at] as RpcClient;
      const ending = await operate(client, rpc, this.#environment);
      const isEnding = this.#begun >= this.#life.operations;
      if (ending === "refused" || (ending === "broken" && isEnding)) {
        if (isEnding) return;
      } else if (ending === "broken" && this.#rpcs[at] === rpc) this.#renew(at);
    }
  }

  /** Ballast, a record now and then, and a look at all of it after a compaction. */
  async #load(): Promise<void> {
    const rpc = this.#connect();
    for (let writes = 1; !this.#isOver && this.#begun < this.#life.operations; writes += 1) {
      await this.#ballast.write(rpc);
      if (this.#hasMoved && writes % writesBetweenLooks === 0) await this.#lookAtBallast(rpc);
      await this.#moved(placesBetweenBallast);
    }
    rpc.close();
  }

  async #lookAtBallast(rpc: RpcClient): Promise<void> {
    this.#hasMoved = false;
    try {
      for (const fault of await this.#ballast.faults(rpc)) this.#environment.find(fault);
    } catch {
      // The server is going, or the connection was cut.
    }
  }

  /** Compaction after compaction, on connections of their own. */
  async #compact(): Promise<void> {
    while (!this.#isOver && this.#begun < this.#life.operations) {
      const rpc = this.#connect();
      try {
        await this.#compactOnce(rpc);
      } catch {
        // The server is going, or the connection was cut: what is wrong of it the clients meet.
      } finally {
        rpc.close();
      }
      await this.#moved(placesBetweenCompactions);
    }
  }

  async #compactOnce(rpc: RpcClient): Promise<void> {
    for await (const { progress } of rpc.stream(AdminService.method.compact, {})) {
      if (progress?.phase !== CompactionPhase.DONE) continue;
      this.segmentsCompacted += progress.segmentsDone;
      this.#hasMoved ||= progress.segmentsDone > 0;
      const hasFailed = progress.outcome === CompactionOutcome.FAILED;
      if (hasFailed) this.#environment.find(`a compaction failed: ${progress.why}`);
    }
  }

  /** Resolves when the history is so many places further, or when the life is over. */
  #moved(places: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isOver) return resolve();
      this.#environment.recorder.after(places, resolve);
      this.#forgets.push(resolve);
    });
  }

  #connect(): RpcClient {
    return new RpcClient(this.#server.address, channelOptions);
  }

  /** A new connection at once, where grpc-js would wait before the next attempt. */
  #renew(at: number): void {
    this.#rpcs[at]?.close();
    this.#rpcs[at] = this.#connect();
  }
}
