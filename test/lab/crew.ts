/**
 * The processes that work off the seeds of one instrument.
 *
 *     seeds S, S+1, ... -> worker 1 | worker 2 | ... -> tally
 *
 * Each worker has one run at a time. One that takes longer than the instrument
 * allows, or dies, is a finding of its seed; another takes its place. A worker
 * that cannot start ends it all.
 */
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Instrument } from "./instrument.js";
import type { WorkerAnswer, WorkerOrder } from "./run-server.js";
import { Tally } from "./tally.js";

/** When to stop; whichever comes first. */
export interface CrewExtent {
  readonly seed: number;
  readonly only: string | undefined;
  /** Runs in all; may be infinite. */
  readonly runsMax: number;
  /** After this time no run is begun; in seconds, may be infinite. */
  readonly secondsMax: number;
  /** After so many findings no run is begun. */
  readonly findingsMax: number;
  /** Is told after each run. */
  readonly onRun?: (tally: Tally) => void;
  /** No run is begun any more; those under way are ended without a verdict. */
  readonly signal?: AbortSignal;
  /** The program of a worker; the lab's own unless a test has instruments of its own. */
  readonly workerPath?: string;
}

/** An instrument cannot be used here; the message says why. */
export class CannotStart extends Error {
  override readonly name = "CannotStart";
}

const labWorkerPath = fileURLToPath(new URL("lab-worker.js", import.meta.url));

/** Lines of a worker's stderr that a finding quotes. */
const stderrLinesMax = 20;

/** Works off the seeds; the tally of what they came to. */
export async function runCrew(instrument: Instrument, extent: CrewExtent): Promise<Tally> {
  const crew = new Crew(instrument, extent);
  return await crew.run();
}

class Crew {
  readonly #instrument: Instrument;
  readonly #extent: CrewExtent;
  readonly #tally = new Tally();
  readonly #startMs = performance.now();
  #begun = 0;

  constructor(instrument: Instrument, extent: CrewExtent) {
    this.#instrument = instrument;
    this.#extent = extent;
  }

  async run(): Promise<Tally> {
    const cores = this.#instrument.isParallel ? availableParallelism() : 1;
    const workers = Math.min(cores, this.#extent.runsMax);
    await Promise.all(Array.from({ length: workers }, () => this.#work()));
    return this.#tally;
  }

  /** One place in the crew: as many workers after each other as it takes. */
  async #work(): Promise<void> {
    let worker: Worker | undefined;
    try {
      for (let seed = this.#next(); seed !== undefined; seed = this.#next()) {
        worker ??= await Worker.start(this.#instrument, this.#extent);
        const verdict = await worker.run(seed, this.#instrument.runSecondsMax);
        if (this.#extent.signal?.aborted === true) return;
        if (verdict.kind === "done") this.#tally.add(seed, verdict.outcome);
        else {
          this.#tally.add(seed, { counts: {}, findings: [verdict.why] });
          worker = undefined;
        }
        this.#extent.onRun?.(this.#tally);
      }
    } finally {
      await worker?.close();
    }
  }

  #next(): number | undefined {
    const { seed, runsMax, secondsMax, findingsMax, signal } = this.#extent;
    if (this.#begun >= runsMax || signal?.aborted === true) return undefined;
    if (performance.now() - this.#startMs >= secondsMax * 1000) return undefined;
    if (this.#tally.findingCount >= findingsMax) return undefined;
    this.#begun += 1;
    return seed + this.#begun - 1;
  }
}

type Verdict = Extract<WorkerAnswer, { kind: "done" }> | { kind: "gone"; why: string };

/** One process. */
class Worker {
  readonly #process: ChildProcess;
  readonly #gone: Promise<{ kind: "gone"; why: string }>;
  readonly #signal: AbortSignal | undefined;
  #stderr: string[] = [];
  #onAnswer: (answer: WorkerAnswer) => void = () => undefined;

  private constructor(instrument: Instrument, extent: CrewExtent) {
    const { only, signal, workerPath = labWorkerPath } = extent;
    this.#signal = signal;
    this.#process = fork(workerPath, [instrument.name, ...(only === undefined ? [] : [only])], {
      stdio: ["ignore", "inherit", "pipe", "ipc"],
      serialization: "advanced",
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = [...this.#stderr, ...text.split("\n")].slice(-stderrLinesMax);
    });
    this.#process.on("message", (answer: WorkerAnswer) => this.#onAnswer(answer));
    this.#gone = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("close", (code, how) => {
        const why = `the process of the run ended: ${how ?? `code ${code}`}`;
        resolve({ kind: "gone", why: [why, ...this.#stderr].join("\n") });
      });
    });
  }

  static async start(instrument: Instrument, extent: CrewExtent): Promise<Worker> {
    const worker = new Worker(instrument, extent);
    const first = await Promise.race([worker.#answer(), worker.#gone]);
    if (first.kind === "refused" || first.kind === "gone") {
      throw new CannotStart(`${instrument.name}: ${first.why}`);
    }
    return worker;
  }

  /** Runs a seed; a worker that is gone afterwards is of no more use. */
  async run(seed: number, secondsMax: number): Promise<Verdict> {
    const answered = this.#answer();
    this.#tell({ kind: "run", seed });
    let hasHung = false;
    const end = (): void => void this.#process.kill("SIGKILL");
    const timer = setTimeout(() => {
      hasHung = true;
      end();
    }, secondsMax * 1000);
    this.#signal?.addEventListener("abort", end, { once: true });
    const verdict = await Promise.race([answered, this.#gone]);
    clearTimeout(timer);
    this.#signal?.removeEventListener("abort", end);
    if (hasHung) return { kind: "gone", why: `no end of the run after ${secondsMax} s` };
    if (verdict.kind === "done" || verdict.kind === "gone") return verdict;
    throw new TypeError(`not an answer to a run: ${verdict.kind}`);
  }

  async close(): Promise<void> {
    if (this.#process.connected) this.#tell({ kind: "close" });
    await this.#gone;
  }

  #tell(order: WorkerOrder): void {
    this.#process.send(order);
  }

  #answer(): Promise<WorkerAnswer> {
    return new Promise((resolve) => {
      this.#onAnswer = resolve;
    });
  }
}
