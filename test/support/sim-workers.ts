/**
 * Jobs of worker threads, run in the thread of the test, on the files of the
 * engine: so crashes, faults and schedules reach them like everything else.
 * Messages are cloned as between threads, and delivered on later turns.
 */
import type { FileSystem } from "../../src/host/file-system.js";
import type { Clock } from "../../src/host/host.js";
import {
  type Channel,
  Mailbox,
  type Message,
  type RunningWorker,
  type WorkerJob,
  type Workers,
} from "../../src/host/worker.js";

/** Runs every job in this thread. */
export class SimWorkers implements Workers {
  readonly #clock: Pick<Clock, "soon">;
  /** Jobs that have not ended. */
  running = 0;

  constructor(clock: Pick<Clock, "soon">) {
    this.#clock = clock;
  }

  start(job: WorkerJob, files: FileSystem): RunningWorker {
    const toJob = new Mailbox();
    const toEngine = new Mailbox();
    const channel = (from: Mailbox, to: Mailbox): Channel => ({
      post: (message: Message, handOver = []) => {
        const cloned = structuredClone(message, { transfer: [...handOver] });
        this.#clock.soon(() => to.put(cloned));
      },
      receive: () => from.take(),
    });
    this.running += 1;
    const ended = job
      .run(channel(toJob, toEngine), files)
      .catch((error: unknown) => {
        toEngine.put({ kind: "failed", message: String(error), code: undefined });
      })
      .finally(() => {
        this.running -= 1;
        this.#clock.soon(() => toEngine.close());
      });
    return {
      ...channel(toEngine, toJob),
      stop: async () => {
        this.#clock.soon(() => toJob.close());
        await ended;
      },
    };
  }
}
