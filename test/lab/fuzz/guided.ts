/** The guided thread, from outside. */
import { Worker } from "node:worker_threads";
import type { GuidedAnswer, GuidedOrder } from "./guided-thread.js";

/** A thread that finds inputs which reach what no other has reached. */
export class Guided {
  readonly #worker = new Worker(new URL("guided-thread.js", import.meta.url));

  /** Runs one order; one at a time. */
  run(order: GuidedOrder): Promise<GuidedAnswer> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(error);
      this.#worker.once("error", fail);
      this.#worker.once("message", (answer: GuidedAnswer) => {
        this.#worker.off("error", fail);
        resolve(answer);
      });
      this.#worker.postMessage(order);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
