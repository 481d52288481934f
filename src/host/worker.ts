/**
 * Work beside the event loop that serves: a job runs in a thread of its own, with
 * files of its own, and talks to the engine by messages.
 *
 *     engine --post--> [messages] --receive--> job
 *     engine <-receive-- [messages] <--post--  job
 *
 * Each side waits for the other's answer before it posts again, so no more than
 * one message or two ever wait (V11). What is posted is copied, but for buffers
 * that are handed over.
 */
import type { FileSystem } from "./file-system.js";

/** What one side posts: plain data, typed arrays, bigints. */
export type Message = Readonly<Record<string, unknown>>;

/** One end of the way to the other side. */
export interface Channel {
  /** `handOver`: buffers that are moved and not copied; the sender has them no more. */
  post(message: Message, handOver?: readonly ArrayBuffer[]): void;
  /** The next message; undefined: there will be none, the other side has ended. */
  receive(): Promise<Message | undefined>;
}

/** What runs in the other thread. */
export interface WorkerJob {
  /** The module, by its URL, that a thread begins with; it runs the job. */
  readonly url: string;
  /** Works until the channel gives undefined. */
  readonly run: (channel: Channel, files: FileSystem) => Promise<void>;
}

/** A job that runs. */
export interface RunningWorker extends Channel {
  /** Lets the job end, and resolves when its thread has; one that hangs is ended after a second. */
  stop(): Promise<void>;
}

/** Starts jobs. */
export interface Workers {
  /** `files`: those of the engine, for a host that runs the job in the same thread. */
  start(job: WorkerJob, files: FileSystem): RunningWorker;
}

/** Messages that have come and were not asked for yet, or asks that wait for one. */
export class Mailbox {
  readonly #messages: Message[] = [];
  #asks: ((message: Message | undefined) => void)[] = [];
  #isClosed = false;

  put(message: Message): void {
    const ask = this.#asks.shift();
    if (ask === undefined) this.#messages.push(message);
    else ask(message);
  }

  take(): Promise<Message | undefined> {
    const message = this.#messages.shift();
    if (message !== undefined || this.#isClosed) return Promise.resolve(message);
    return new Promise((resolve) => this.#asks.push(resolve));
  }

  /** What has come can still be taken; nothing more comes. */
  close(): void {
    this.#isClosed = true;
    for (const ask of this.#asks.splice(0)) ask(undefined);
  }
}
