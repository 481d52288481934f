/** The one error that kvix throws on purpose. Match on `reason`; messages may change. */
import { type ErrorRow, errorCatalogue, type Outcome, type Reason } from "./error-catalogue.js";

/** What an error message says beyond its reason, as data. Never a key or a value. */
export type ErrorMetadata = Readonly<Record<string, string | number>>;

/** How a KvixError differs from its row in the catalogue. */
export interface KvixErrorOptions {
  readonly metadata?: ErrorMetadata;
  readonly cause?: unknown;
  /** What became of the write, where this case knows better than the catalogue. */
  readonly outcome?: Outcome;
}

/** An operating error: foreseen, named in the catalogue, safe to show to a client. */
export class KvixError extends Error {
  override readonly name = "KvixError";
  readonly reason: Reason;
  readonly outcome: Outcome;
  readonly metadata: ErrorMetadata;
  /** What the message says beyond the sentence of the reason; may be empty. */
  readonly detail: string;

  constructor(reason: Reason, detail = "", options: KvixErrorOptions = {}) {
    const { sentence } = errorCatalogue[reason];
    const message = detail === "" ? `${reason}: ${sentence}` : `${reason}: ${sentence}: ${detail}`;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.detail = detail;
    this.reason = reason;
    this.outcome = options.outcome ?? errorCatalogue[reason].outcome;
    this.metadata = options.metadata ?? {};
  }

  /** What the catalogue says of this reason. */
  get row(): ErrorRow {
    return errorCatalogue[this.reason];
  }

  /** What the caller may do about it. */
  get retry(): ErrorRow["retry"] {
    return this.outcome === "unknown" ? "never" : this.row.retry;
  }
}
