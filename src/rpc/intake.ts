/**
 * The requests of a call that is a stream of them with one answer: read one at a
 * time, when its handler asks for it. grpc-js would read sixteen ahead, whatever their
 * length; so its own asking waits for the handler's.
 *
 *     handler asks --> one request is read --> handed over --> handler asks ...
 *     `--> the client has sent all: the end      `--> given up, or ended: throws why
 */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { ServerReadableStream } from "@grpc/grpc-js";
import type { KvixError } from "../base/kvix-error.js";
import type { Malformed } from "./definition.js";

/** A request as it came. */
type Request = MessageShape<DescMessage> | Malformed;

/** Requests, one at a time. Its `next` is called when the one before is done. */
export class Intake implements AsyncIterableIterator<Request> {
  /** Asks grpc-js for one message. */
  readonly #startRead: () => void;
  #mayRead = false;
  #isAsked = false;
  #hasEnded = false;
  #endedBecause: unknown;
  #taker:
    | { take: (result: IteratorResult<Request>) => void; fail: (why: unknown) => void }
    | undefined;

  constructor(call: ServerReadableStream<Request, unknown>) {
    const read = call._read.bind(call);
    this.#startRead = () => read(1);
    call._read = () => {
      this.#mayRead = true;
      this.#readIfAsked();
    };
    call.on("data", (request: Request) => this.#give({ done: false, value: request }));
    call.on("end", () => {
      this.#hasEnded = true;
      this.#give({ done: true, value: undefined });
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next request. Throws what it was ended with. */
  next(): Promise<IteratorResult<Request>> {
    if (this.#endedBecause !== undefined) return Promise.reject(this.#endedBecause);
    if (this.#hasEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((take, fail) => {
      this.#taker = { take, fail };
      this.#isAsked = true;
      this.#readIfAsked();
    });
  }

  /** No more requests: who waits for one, or asks for another, is told why. */
  end(why: KvixError): void {
    if (this.#hasEnded || this.#endedBecause !== undefined) return;
    this.#endedBecause = why;
    this.#taker?.fail(why);
    this.#taker = undefined;
  }

  #readIfAsked(): void {
    if (!this.#mayRead || !this.#isAsked) return;
    this.#mayRead = false;
    this.#isAsked = false;
    this.#startRead();
  }

  #give(result: IteratorResult<Request>): void {
    this.#taker?.take(result);
    this.#taker = undefined;
  }
}
