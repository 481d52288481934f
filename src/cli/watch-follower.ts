/**
 * A watch that goes on by itself: it keeps the version that all is told up to, and when
 * the connection breaks, or the server says that the trouble passes, it asks again from
 * there. So each change is told once, whatever happens between.
 *
 *     first call    what ends it ends the command: nothing was told yet
 *     telling       a message moves the version on, also where it has no change
 *     waiting       between two calls: 250 ms, doubled up to 2 s
 *
 * While the records that stand are told there is no version to go on from, and to begin
 * anew would tell them twice and a delete not at all: what ends the watch then ends the
 * command.
 */
import {
  KvService,
  type WatchEvent,
  type WatchRequest,
  type WatchResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { NodeClock } from "../host/node-clock.js";
import { type Session, type Stream, withServer } from "./client-session.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd, explainFailure } from "./failure.js";

/** How long is waited before the first call again, and at most. */
const WAIT_MS = 250;
const WAIT_MS_MAX = 2000;

// Nothing else holds the process while it waits for a server.
const clock = new NodeClock({ holdsProcess: true });

/** What is asked for; where to begin is the follower's. */
export type Watched = Partial<Omit<WatchRequest, "$typeName" | "progressInterval">>;

/** Who is told. */
export interface Listener {
  /** Resolves when the events are taken. `isCurrent`: they are records that stand. */
  tell(events: readonly WatchEvent[], isCurrent: boolean): Promise<void>;
  /** What became of the connection, for people. */
  note(text: string): Promise<void>;
}

/** Follows the changes. */
export class WatchFollower {
  readonly #watched: Watched;
  readonly #listener: Listener;
  #left: number;
  /** All up to it is told; undefined: there is nothing to go on from. */
  #version: bigint | undefined;
  #isCut = false;

  /** `limit`: how many events are told at most. */
  constructor(watched: Watched, listener: Listener, limit: number) {
    this.#watched = watched;
    this.#listener = listener;
    this.#left = limit;
  }

  /** All up to this version is told; undefined: there is nothing to go on from. */
  get version(): bigint | undefined {
    return this.#version;
  }

  /** Follows until `signal` aborts, the limit is reached, or it cannot go on; then it throws. */
  async follow(session: Session, signal: AbortSignal): Promise<void> {
    await withServer(session, async (_call, stream) => {
      let waitMs = WAIT_MS;
      while (!signal.aborted && this.#left > 0) {
        try {
          await this.#listen(stream, signal);
          return;
        } catch (error) {
          if (signal.aborted) return;
          if (this.#version === undefined || !isPassing(error)) throw error;
          if (!this.#isCut) waitMs = WAIT_MS;
          await this.#noteCut(error);
        }
        await clock.sleep(waitMs, signal);
        waitMs = Math.min(waitMs * 2, WAIT_MS_MAX);
      }
    });
  }

  /** One call. Returns when the limit is reached. */
  async #listen(stream: Stream, signal: AbortSignal): Promise<void> {
    const { includeCurrent, ...range } = this.#watched;
    const request =
      this.#version === undefined ? this.#watched : { ...range, afterVersion: this.#version };
    for await (const answer of stream(KvService.method.watch, request, signal)) {
      if (this.#isCut) {
        this.#isCut = false;
        await this.#listener.note("connected again");
      }
      await this.#take(answer);
      if (this.#left === 0) return;
    }
    if (signal.aborted) return;
    throw new CommandEnd(ExitCode.UNAVAILABLE, "the server ended the watch");
  }

  async #take({ events, version, current }: WatchResponse): Promise<void> {
    const told = events.slice(0, this.#left);
    await this.#listener.tell(told, current);
    this.#left -= told.length;
    const last = told.at(-1)?.record?.version ?? 0n;
    if (!current) this.#moveTo(last);
    // Of a message that is told in part, the last change is how far it is.
    if (told.length === events.length) this.#moveTo(version);
  }

  /** Inside a commit that comes in several messages, their version stands before it. */
  #moveTo(version: bigint): void {
    if (version > (this.#version ?? 0n)) this.#version = version;
  }

  async #noteCut(error: unknown): Promise<void> {
    if (this.#isCut) return;
    this.#isCut = true;
    const why = explainFailure(error).message.replace(/\.$/, "");
    await this.#listener.note(`${why}. Going on after version ${this.#version} as soon as I can`);
  }
}

/** Whether the same call may do better in a while. */
function isPassing(error: unknown): boolean {
  if (error instanceof KvixError) {
    return error.retry === "after-delay" || error.reason === "SNAPSHOT_ENDED";
  }
  return error instanceof CommandEnd && error.exitCode === ExitCode.UNAVAILABLE;
}
