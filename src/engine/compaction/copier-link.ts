/**
 * The engine's end of the way to the copier: a thread that is started when it is
 * first needed and let go at the end of a run.
 */
import { KvixError } from "../../base/kvix-error.js";
import type { Host } from "../../host/host.js";
import type { Message, RunningWorker } from "../../host/worker.js";
import { isDiskFull } from "../disk-space.js";
import { workerJob } from "./copier.js";
import type { Failed } from "./copier-orders.js";

/** Thrown when a step was told to stop; it has left nothing that counts. */
export class StepStopped extends Error {}

/** Asks the copier, one question at a time. */
export class CopierLink {
  readonly #host: Host;
  #worker: RunningWorker | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /**
   * What the copier says to a message. What the system refused it is thrown: NO_SPACE,
   * or an error of its own. Throws StepStopped as soon as `signal` aborts.
   */
  async ask(message: Message, signal: AbortSignal): Promise<Message> {
    if (signal.aborted) throw new StepStopped();
    this.#worker ??= this.#host.workers.start(workerJob, this.#host.files);
    this.#worker.post(message);
    const answer = await orStopped(this.#worker.receive(), signal);
    if (answer === undefined) throw new Error("the copying thread has ended");
    if (answer["kind"] === "failed") throw refusal(answer as unknown as Failed);
    return answer;
  }

  /** Lets the thread go; resolves when it has ended. */
  async release(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.stop();
  }
}

/** What a promise gives; throws StepStopped as soon as `signal` aborts. */
export function orStopped<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  if (signal.aborted) return Promise.reject(new StepStopped());
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new StepStopped());
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

function refusal({ message, code }: Failed): Error {
  const cause = Object.assign(new Error(message), { code });
  if (!isDiskFull(cause)) return cause;
  return new KvixError("NO_SPACE", "a compaction ran out of disk", { cause });
}
