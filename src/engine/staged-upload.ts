/**
 * One upload.
 *
 *     receiving --finish--> finishing --answer--> over
 *         `--giveUp, or a write that fails--> over
 *
 * Invariants
 *  1. Nothing of it is in the log before its length and checksum were right.
 *  2. `onOver` is called once, when its file is gone.
 *  3. It can be given up while it is receiving; from `finish` on only its signal can,
 *     and only until the write is handed to the log.
 */
import { KvixError } from "../base/kvix-error.js";
import { crc32 } from "../format/checksum.js";
import type { File } from "../host/file-system.js";
import { StagedValue } from "./staged-value.js";
import type { Condition, Durability, Expiry, SetResult, Upload, UploadResult } from "./store.js";
import { WriteOp } from "./write-op.js";

/** What an upload counts for against the bytes in flight, beside its key. */
const UPLOAD_OP_BYTES = 512;

/** What is to be uploaded. */
export interface UploadPlan {
  readonly key: Uint8Array;
  readonly valueBytes: number;
  readonly expiry: Expiry;
  readonly condition: Condition | undefined;
  readonly durability: Durability;
  readonly signal: AbortSignal | undefined;
}

/** What one upload needs of all of them. */
export interface UploadSeams {
  readonly createFile: () => Promise<File>;
  /** Never throws. */
  readonly removeFile: (file: File) => Promise<void>;
  /** Throws NO_SPACE if the disk has no room for so many bytes more. */
  readonly requireSpace: (bytes: number) => void;
  readonly onStaged: (bytes: number) => void;
  /** What a failure of the file is to who uploads. */
  readonly failed: (cause: unknown) => KvixError;
  readonly submit: (op: WriteOp) => Promise<SetResult>;
  readonly onOver: (upload: StagedUpload) => void;
}

/** See the head of this file. */
export class StagedUpload implements Upload {
  readonly #plan: UploadPlan;
  readonly #seams: UploadSeams;
  #state: "receiving" | "finishing" | "over" = "receiving";
  #file: File | undefined;
  #stagedBytes = 0;
  #checksum = 0;
  /** The write under way. */
  #writing: Promise<void> | undefined;
  #endedBecause: KvixError | undefined;
  #cleaning: Promise<void> | undefined;
  readonly #onAbort = (): void => this.giveUp(cancelled(this.#plan.signal));

  constructor(plan: UploadPlan, seams: UploadSeams) {
    this.#plan = plan;
    this.#seams = seams;
    plan.signal?.addEventListener("abort", this.#onAbort);
    if (plan.signal?.aborted === true) this.#onAbort();
  }

  /** Bytes in its staging file. */
  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  /** What it may still take of the disk. */
  get wantedBytes(): number {
    return 2 * this.#plan.valueBytes - this.#stagedBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#requireReceiving();
    if (this.#writing !== undefined) throw new Error("two writes of one upload at once");
    this.#writing = this.#stage(chunk);
    try {
      await this.#writing;
    } catch (error) {
      this.giveUp(this.#seams.failed(error));
    } finally {
      this.#writing = undefined;
    }
    this.#requireReceiving();
  }

  async finish(checksum: number): Promise<UploadResult> {
    this.#requireReceiving();
    if (this.#writing !== undefined) throw new Error("an upload is finished during a write");
    const { valueBytes } = this.#plan;
    if (this.#stagedBytes < valueBytes) {
      this.giveUp(mismatch("value_bytes", `${this.#stagedBytes} of ${valueBytes} bytes came`));
    } else if (this.#checksum !== checksum) {
      this.giveUp(
        mismatch("crc32", "the checksum is another", "the CRC-32 of the value that came"),
      );
    }
    this.#requireReceiving();
    this.#state = "finishing";
    try {
      const { applied, version, expiresAtMs, current } = await this.#seams.submit(this.#op());
      return { applied, version, expiresAtMs, current };
    } finally {
      this.#end();
    }
  }

  async abort(): Promise<void> {
    this.giveUp(new KvixError("CANCELLED"));
    await this.#cleaning;
  }

  /** Ends it if it is receiving; who writes on is told why. */
  giveUp(why: KvixError): void {
    if (this.#state !== "receiving") return;
    this.#endedBecause = why;
    this.#end();
  }

  #requireReceiving(): void {
    if (this.#state === "receiving") return;
    throw this.#endedBecause ?? new Error("an upload that is finished is gone on with");
  }

  async #stage(chunk: Uint8Array): Promise<void> {
    const { valueBytes } = this.#plan;
    const end = this.#stagedBytes + chunk.length;
    if (end > valueBytes) throw mismatch("value_bytes", `more than ${valueBytes} bytes came`);
    if (chunk.length === 0) return;
    this.#seams.requireSpace(chunk.length);
    this.#file ??= await this.#seams.createFile();
    await this.#file.write(chunk, this.#stagedBytes);
    this.#checksum = crc32(chunk, this.#checksum);
    this.#stagedBytes = end;
    this.#seams.onStaged(chunk.length);
  }

  #op(): WriteOp {
    const { key, expiry, condition, durability } = this.#plan;
    const file = this.#file;
    const value = file && new StagedValue(file, this.#stagedBytes, this.#checksum);
    const request = { kind: "upload", key, value, expiry, condition } as const;
    return new WriteOp(request, durability, key.length + UPLOAD_OP_BYTES);
  }

  #end(): void {
    this.#state = "over";
    this.#plan.signal?.removeEventListener("abort", this.#onAbort);
    this.#cleaning ??= this.#clean();
  }

  async #clean(): Promise<void> {
    // A write that is under way may only now be making the file.
    await this.#writing?.catch(() => undefined);
    if (this.#file !== undefined) await this.#seams.removeFile(this.#file);
    this.#stagedBytes = 0;
    this.#seams.onOver(this);
  }
}

function mismatch(field: string, detail: string, range = "as many bytes as come"): KvixError {
  return new KvixError("UPLOAD_MISMATCH", detail, { metadata: { field, range } });
}

function cancelled(signal: AbortSignal | undefined): KvixError {
  return new KvixError("CANCELLED", "", { cause: signal?.reason });
}
