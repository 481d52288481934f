/**
 * What a server lets a stream hold, as its handler sees it. A unary call is let
 * in by its request; a stream on which many operations are under way says how
 * much it has at hand, and asks before it takes more.
 *
 * grpc-js tells a handler nothing of the interceptors before it but the metadata
 * that they pass on; so a room is found by the metadata of its call.
 */
import type { Metadata } from "@grpc/grpc-js";
import type { KvixError } from "../base/kvix-error.js";

/** The memory of one stream. */
export interface StreamRoom {
  /** Lets the client's next message come. Each one is held back until it is asked for. */
  more(): void;
  /**
   * Takes room for `bytes` more, now (true) or later: then `enter` is called, with
   * OVERLOADED if there was none in time. Throws OVERLOADED. One amount is waited
   * for at a time.
   */
  take(bytes: number, enter: (refusal?: KvixError) => void): boolean;
  /** Waits no longer: `enter` will not be called. False: nothing waited, or it was called. */
  withdraw(): boolean;
  /** `bytes` turned up without having been asked for. */
  add(bytes: number): void;
  /** Gives back. */
  give(bytes: number): void;
  /**
   * `listener` is told if the server takes nothing more of the stream. It then has to
   * end it; without a listener the server ends it at once.
   */
  onRefused(listener: (error: KvixError) => void): void;
}

const rooms = new WeakMap<Metadata, StreamRoom>();

/** The call that came with `metadata` has this room. */
export function assignRoom(metadata: Metadata, room: StreamRoom): void {
  rooms.set(metadata, room);
}

/** The room of a call; one without walls where nobody assigned one. */
export function roomOf(metadata: Metadata): StreamRoom {
  return rooms.get(metadata) ?? openRoom;
}

const openRoom: StreamRoom = {
  more: () => undefined,
  take: () => true,
  withdraw: () => false,
  add: () => undefined,
  give: () => undefined,
  onRefused: () => undefined,
};
