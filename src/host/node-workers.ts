/** Jobs in worker threads of this process. */
import { Worker } from "node:worker_threads";
import type { FileSystem } from "./file-system.js";
import {
  Mailbox,
  type Message,
  type RunningWorker,
  type WorkerJob,
  type Workers,
} from "./worker.js";

/** How long a job may take to notice that it is to end. */
const STOP_MS = 1000;

/** Starts a thread for each job. */
export class NodeWorkers implements Workers {
  start(job: WorkerJob, _files: FileSystem): RunningWorker {
    return new NodeWorker(job);
  }
}

class NodeWorker implements RunningWorker {
  readonly #thread: Worker;
  readonly #mailbox = new Mailbox();
  readonly #ended: Promise<void>;

  constructor(job: WorkerJob) {
    this.#thread = new Worker(new URL(job.url), {
      // What the process was started with (a profiler, a test runner) is not for the thread.
      execArgv: [],
    });
    this.#thread.on("message", (message: Message) => this.#mailbox.put(message));
    this.#ended = new Promise((resolve) => {
      this.#thread.once("error", (error) => {
        this.#mailbox.put({ kind: "failed", message: String(error), code: undefined });
      });
      this.#thread.once("exit", () => {
        this.#mailbox.close();
        resolve();
      });
    });
  }

  post(message: Message, handOver: readonly ArrayBuffer[] = []): void {
    this.#thread.postMessage(message, handOver);
  }

  receive(): Promise<Message | undefined> {
    return this.#mailbox.take();
  }

  async stop(): Promise<void> {
    this.#thread.postMessage(undefined);
    const timer = setTimeout(() => void this.#thread.terminate(), STOP_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}
