/** The one error that kvix throws on purpose. Match on `reason`; messages may change. */
import { type ErrorRow, errorCatalogue, type Outcome, type Reason } from "./error-catalogue.js";

/** What an error message says beyond its reason, as data. Never a key or a value. */
export type ErrorMetadata = Readonly<Record<string, string | number>>;

/** From where on to ask again for what has ended before its end; see the proto's ResumeInfo. */
export interface Resume {
  /** Of a scan: all up to this key was sent. Left out: nothing was. */
  readonly afterKey?: Uint8Array | undefined;
  /** Of a watch: all up to this version was sent. Left out: nothing was. */
  readonly afterVersion?: number | undefined;
  /** The history of changes is complete above this version. */
  readonly historyFloor?: number | undefined;
}

/** How a KvixError differs from its row in the catalogue. */
export interface KvixErrorOptions {
  readonly metadata?: ErrorMetadata;
  readonly cause?: unknown;
  /** What became of the write, where this case knows better than the catalogue. */
  readonly outcome?: Outcome;
  /** Where to go on, if it has ended something that can be gone on with. */
  readonly resume?: Resume | undefined;
}

/** An operating error: foreseen, named in the catalogue, safe to show to a client. */
export class KvixError extends Error {
  override readonly name = "KvixError";
  readonly reason: Reason;
  readonly outcome: Outcome;
  readonly metadata: ErrorMetadata;
  readonly resume: Resume | undefined;

  constructor(reason: Reason, detail = "", options: KvixErrorOptions = {}) {
    const { sentence } = errorCatalogue[reason];
    const message = detail === "" ? `${reason}: ${sentence}` : `${reason}: ${sentence}: ${detail}`;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.outcome = options.outcome ?? errorCatalogue[reason].outcome;
    this.metadata = options.metadata ?? {};
    this.resume = options.resume;
  }

  /** The same error, saying where to go on. */
  resumedBy(resume: Resume): KvixError {
    const { reason, metadata, outcome, cause } = this;
    const error = new KvixError(reason, "", { metadata, outcome, resume, cause });
    error.message = this.message;
    return error;
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
