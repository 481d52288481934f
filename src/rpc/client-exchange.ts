/**
 * The client's end of a stream in both directions: messages out as they are
 * encoded, messages in as they come, and the status at the end.
 *
 * What is written waits in memory until HTTP/2 lets it go; `drained` tells when
 * there is nothing of it any more, so that whoever writes can keep to a bound.
 */
import type { DescMessage, DescMethodBiDiStreaming } from "@bufbuild/protobuf";
import { type Client, type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { methodDefinition } from "./definition.js";
import { type CallStatus, fromCallStatus } from "./status.js";

/** What is heard of a stream. */
export interface ExchangeEvents {
  /** An encoded message. */
  onMessage(message: Uint8Array): void;
  /** What was written is on its way. */
  onDrained(): void;
  /** The stream is over: well, or with the KvixError of the server or grpc-js's own. */
  onEnd(error: unknown): void;
}

/** A stream under way. */
export class ClientExchange {
  readonly #call: ClientDuplexStream<Uint8Array, Uint8Array>;
  #isOver = false;

  /** Begins the call. */
  constructor(
    client: Client,
    method: DescMethodBiDiStreaming<DescMessage, DescMessage>,
    events: ExchangeEvents,
  ) {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method, method, true);
    const call = client.makeBidiStreamRequest(
      path,
      requestSerialize as (message: Uint8Array) => Buffer,
      // Left encoded.
      responseDeserialize as unknown as (bytes: Buffer) => Uint8Array,
      new Metadata(),
      {},
    );
    const end = (error: unknown): void => {
      if (this.#isOver) return;
      this.#isOver = true;
      events.onEnd(error);
    };
    call.on("data", (message: Uint8Array) => events.onMessage(message));
    call.on("drain", () => events.onDrained());
    call.on("error", (error: CallStatus & Error) => end(fromCallStatus(error) ?? error));
    call.on("status", (status: CallStatus) => {
      if (status.code === 0) end(undefined);
    });
    this.#call = call;
  }

  /** Sends an encoded message. False: what was written is not on its way yet; `onDrained` follows. */
  write(message: Uint8Array): boolean {
    return this.#call.write(message);
  }

  /** Nothing more is sent. */
  halfClose(): void {
    this.#call.end();
  }

  /** Ends the call from this side. */
  cancel(): void {
    this.#call.cancel();
  }

  /** Stops taking messages, and so, in the end, the server; or goes on. */
  set isPaused(isPaused: boolean) {
    if (isPaused) this.#call.pause();
    else this.#call.resume();
  }
}
