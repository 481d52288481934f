/** What the handlers of KvService and KvTextService have of their server. */
import type { Store } from "../engine/store.js";
import type { Clock } from "../host/host.js";

/** What the handlers need. */
export interface KvServiceContext {
  readonly store: Store;
  readonly clock: Pick<Clock, "wallMs">;
  /** The largest message, in bytes. */
  readonly messageBytesMax: number;
}
