/** The one error that kvix throws on purpose. Match on `reason`; messages may change. */
import { type ErrorRow, errorCatalogue, type Outcome, type Reason } from "./error-catalogue.js";

/** What an error message says beyond its reason, as data. Never a key or a value. */
export type ErrorMetadata = Readonly<Record<string, string | number>>;

/** Where a stream that ended with an error can be gone on with; the proto's ResumeInfo. */
export interface ResumePoint {
  /** Of a scan: all up to this key was told (down to it, in reverse); left out or empty: nothing was. */
  readonly afterKey?: Uint8Array | undefined;
  /** Of a watch: all up to this version was told; left out or 0: nothing was. */
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
  readonly resume?: ResumePoint | undefined;
}

/** An operating error: foreseen, named in the catalogue, safe to show to a client. */
export class KvixError extends Error {
  override readonly name = "KvixError";
  readonly reason: Reason;
  readonly outcome: Outcome;
  readonly metadata: ErrorMetadata;
  /** What the message says beyond the sentence of the reason; may be empty. */
  readonly detail: string;
  /** Private, so that no log and no printed error shows the key that it may have (V12). */
  readonly #resume: ResumePoint | undefined;

  constructor(reason: Reason, detail = "", options: KvixErrorOptions = {}) {
    const { sentence } = errorCatalogue[reason];
    const message = detail === "" ? `${reason}: ${sentence}` : `${reason}: ${sentence}: ${detail}`;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.detail = detail;
    this.reason = reason;
    this.outcome = options.outcome ?? errorCatalogue[reason].outcome;
    this.metadata = options.metadata ?? {};
    this.#resume = options.resume;
  }

  /** Where to go on, if this ended a stream that can be gone on with. */
  get resume(): ResumePoint | undefined {
    return this.#resume;
  }

  /** The same error, of a stream that can be gone on with there; this one if it says so itself. */
  resumingAt(resume: ResumePoint): KvixError {
    if (this.#resume !== undefined) return this;
    const { reason, metadata, outcome, cause } = this;
    const told = new KvixError(reason, "", { metadata, outcome, cause, resume });
    told.message = this.message;
    return told;
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
