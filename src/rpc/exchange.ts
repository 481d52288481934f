/**
 * A stream in both directions on which answers come when they are ready, not one
 * for each request. The handler sees a stream and not grpc-js:
 *
 *     requests come one at a time, each when the handler has asked for it
 *     answers   are counted out: `taken` says that one has left
 *     the end   client: no more requests; server: stop; or cancelled
 *
 * A handler ends the stream itself when it has answered what it took.
 */
import type { DescMessage } from "@bufbuild/protobuf";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { KvixError } from "../base/kvix-error.js";
import type { Answer } from "./definition.js";
import type { OpenStream, OpenStreams } from "./open-stream.js";
import { toCallStatus } from "./status.js";
import { roomOf, type StreamRoom } from "./stream-room.js";

/** The stream, as the handler has it. */
export interface ExchangeStream<Output extends DescMessage> {
  readonly room: StreamRoom;
  /** Aborted when the caller cancels, hangs up or lets its deadline pass. */
  readonly signal: AbortSignal;
  /** Asks for the next request. */
  more(): void;
  /** Sends an answer; `taken` is called when it has left for the client. */
  write(answer: Answer<Output>, taken: () => void): void;
  /** Ends the stream behind all answers: well, or with an error. */
  end(error?: KvixError): void;
}

/** What the handler of one stream hears. Nothing more after `end` or an abort. */
export interface ExchangeListener<Request> {
  /** A request that was asked for. */
  onRequest(request: Request): void;
  /** The client sends nothing more. */
  onHalfClose(): void;
  /** The server takes nothing more: what was taken is answered, then the stream ends with `error`. */
  onStop(error: KvixError): void;
}

/**
 * Begins an exchange. Requests come as their encoded bytes, so that the handler
 * may decode piece by piece. An object, so that it is told from a conversation.
 */
export interface Exchange<Output extends DescMessage> {
  readonly begin: (stream: ExchangeStream<Output>) => ExchangeListener<Uint8Array>;
}

/** Its call: requests are bytes. */
export type ExchangeCall = ServerDuplexStream<Uint8Array, Answer<DescMessage>>;

/** Sees one call through. */
export function runExchange(
  call: ExchangeCall,
  exchange: Exchange<DescMessage>,
  environment: OpenStreams,
): void {
  const { streams } = environment;
  const room = roomOf(call.metadata);
  const cancelled = new AbortController();
  let isOver = false;
  const listener = exchange.begin({
    room,
    signal: cancelled.signal,
    more: () => room.more(),
    write: (answer, taken) => {
      if (!isOver) call.write(answer, () => taken());
    },
    end: (error) => {
      if (isOver) return;
      isOver = true;
      streams.delete(stream);
      if (error === undefined) call.end();
      // The status goes behind the answers; grpc-js takes no further request.
      else call.emit("error", toCallStatus(error));
    },
  });
  const stream: OpenStream = { end: (error) => listener.onStop(error) };
  streams.add(stream);
  room.onRefused((error) => listener.onStop(error));
  const leave = (): void => {
    isOver = true;
    streams.delete(stream);
    cancelled.abort();
  };
  call.once("cancelled", leave);
  call.once("close", leave);
  if (environment.streamsEndedBy !== undefined) {
    listener.onStop(environment.streamsEndedBy);
    return;
  }
  call.on("data", (request: Uint8Array) => {
    if (!isOver) listener.onRequest(request);
  });
  call.on("end", () => {
    if (!isOver) listener.onHalfClose();
  });
}
