/** The streams of a server that are under way, so that a stop can end them. */
import type { KvixError } from "../base/kvix-error.js";

/** A report, an intake, a conversation or an exchange under way. */
export interface OpenStream {
  /** Ends it with a status. */
  end(error: KvixError): void;
}

/** All of a server. */
export interface OpenStreams {
  readonly streams: Set<OpenStream>;
  /** What a stop has ended them with: one whose request comes later ends with it too. */
  streamsEndedBy?: KvixError;
}
