/**
 * What a command says: answers on stdout, everything else on stderr.
 *
 * A write resolves when the system has taken the bytes, so a slow reader slows
 * the command down and nothing piles up (V11). A reader that has gone is a
 * ClosedPipe: `kvix list | head` ends there, quietly.
 */
import type { Writable } from "node:stream";
import { errorCode } from "../host/file-system.js";

/** The reader of stdout has gone: there is nobody left to tell anything. */
export class ClosedPipe extends Error {
  override readonly name = "ClosedPipe";
}

/** Where answers go; a terminal says that it is one. */
export type OutputStream = Writable & { readonly isTTY?: boolean };

/** A stream of answers. */
export class Output {
  readonly #stream: OutputStream;
  #failure: unknown;

  constructor(stream: OutputStream) {
    this.#stream = stream;
    // The callback of the write gets the same error; unheard it would end the process.
    stream.on("error", (error) => {
      this.#failure ??= error;
    });
  }

  /** Whether a person reads along. */
  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Resolves when the bytes are taken. Throws ClosedPipe, or what the system says. */
  write(data: string | Uint8Array): Promise<void> {
    if (data.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(refusal(this.#failure));
      this.#stream.write(data, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(refusal(error));
      });
    });
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** One JSON value on a line of its own. */
  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value));
  }
}

function refusal(error: unknown): unknown {
  const isClosed = errorCode(error) === "EPIPE" || errorCode(error) === "ERR_STREAM_DESTROYED";
  return isClosed ? new ClosedPipe() : error;
}

/** What a command runs with. */
export interface Terminal {
  readonly out: Output;
  readonly err: Output;
  readonly input: AsyncIterable<Uint8Array | string>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}
