/**
 * A store on a simulated machine whose file operations a test can watch, hold
 * back and spoil:
 *
 *     LocalStore -> FaultyFileSystem (injector, trace) -> SimFileSystem
 */
import { strict as assert } from "node:assert";
import type { Outcome, Reason } from "../../src/base/error-catalogue.js";
import { KvixError } from "../../src/base/kvix-error.js";
import type { CompactionSeams } from "../../src/engine/compaction/setup.js";
import { visitFrame } from "../../src/engine/frame-loader.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../src/engine/options.js";
import type { Expiry, SetResult, TouchExpiry, WriteOptions } from "../../src/engine/store.js";
import { FrameFlag } from "../../src/format/frame.js";
import { parseSegmentFileName } from "../../src/format/segment-name.js";
import type { Host } from "../../src/host/host.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { scanFrames } from "../../src/storage/segment-scan.js";
import { readStoreMark } from "../../src/storage/store-mark.js";
import { type Fault, FaultyFileSystem, type Injector } from "./faulty-file-system.js";
import { isMutating, type OperationFacts } from "./file-operation.js";
import { type SimHost, simHost } from "./sim-host.js";
import { unpaced } from "./unpaced.js";

/** Every segment file, and nothing else. */
export const segmentFiles = /\.seg$/;

const directories = { data: "/store", segments: "/store/segments" };
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text as bytes. */
export const bytes = (text: string): Uint8Array => encoder.encode(text);

/** Bytes as text. */
export const text = (value: Uint8Array): string => decoder.decode(value);

/** The versions of a commit, mutation by mutation. */
export const versionsOf = (results: readonly { readonly version: number }[]): number[] =>
  results.map(({ version }) => version);

/** Holds operations back until it is opened; then lets everything through. */
export class Gate {
  /** Operations that it holds. */
  held = 0;
  /** For an injector. */
  readonly fault: Fault = { kind: "wait", until: () => this.#wait() };
  #isOpen = false;
  #waiting: (() => void)[] = [];

  open(): void {
    this.#isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
    this.held = 0;
  }

  #wait(): Promise<void> {
    if (this.#isOpen) return Promise.resolve();
    this.held += 1;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** What became of a promise so far. */
export interface Watched<T> {
  readonly state: "pending" | "resolved" | "rejected";
  readonly value: T | undefined;
}

/** Watches a promise without waiting for it; a rejection counts as handled. */
export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: { state: Watched<T>["state"]; value: T | undefined } = {
    state: "pending",
    value: undefined,
  };
  promise.then(
    (value) => {
      watched.state = "resolved";
      watched.value = value;
    },
    () => {
      watched.state = "rejected";
    },
  );
  return watched;
}

/** Asserts that a call fails with this reason, and with this outcome if it is given. */
export async function rejects(
  call: Promise<unknown>,
  reason: Reason,
  outcome?: Outcome,
): Promise<KvixError> {
  const error = await call.then(
    () => assert.fail(`${reason} was expected`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KvixError, `not a KvixError: ${String(error)}`);
  assert.equal(error.reason, reason, error.message);
  if (outcome !== undefined) assert.equal(error.outcome, outcome, error.message);
  return error;
}

/** A frame as it lies on the simulated disk. */
export interface FoundFrame {
  readonly segment: string;
  readonly offset: number;
  readonly length: number;
  readonly isBarrier: boolean;
  readonly isBatch: boolean;
  /** Its records; of a batch, those of all members. */
  readonly records: readonly {
    readonly key: string;
    readonly version: number;
    readonly isTombstone: boolean;
    readonly isExpired: boolean;
  }[];
}

/** What a set may ask for beside key and value. */
export interface RigSetOptions extends WriteOptions {
  readonly expiry?: Expiry;
}

/** An open store and its machine. */
export class Rig {
  readonly sim: SimHost;
  readonly faulty: FaultyFileSystem;
  readonly host: Host;
  readonly options: StoreOptionsInput;
  /** Mutating operations since it was last emptied. */
  readonly trace: OperationFacts[] = [];
  injector: Injector | undefined;
  #store: LocalStore | undefined;

  private constructor(options: Partial<StoreOptionsInput>, sim: SimHost) {
    this.sim = sim;
    this.options = { dataDir: "/store", liftFloors: true, diskReserveBytes: 0, ...options };
    this.faulty = new FaultyFileSystem(sim.files, (operation) => {
      if (isMutating(operation.op)) this.trace.push(operation);
      return this.injector?.(operation);
    });
    this.host = { ...sim, files: this.faulty };
  }

  /** Opens a store; over what a machine has, if one is given. */
  static async open(
    options: Partial<StoreOptionsInput> = {},
    sim: SimHost = simHost({ seed: 1 }),
    injector?: Injector,
    seams?: CompactionSeams,
  ): Promise<Rig> {
    const rig = new Rig(options, sim);
    rig.injector = injector;
    rig.#store = await openStore(rig.options, rig.host, {
      pacer: unpaced(sim.clock),
      ...seams,
    });
    return rig;
  }

  get store(): LocalStore {
    assert.ok(this.#store, "the store is open");
    return this.#store;
  }

  /** Kills the process and opens what it left. */
  async killed(options: Partial<StoreOptionsInput> = {}): Promise<Rig> {
    const sim = simHost({ seed: 2, files: this.sim.files.kill(), clock: this.sim.clock });
    return await Rig.open({ ...this.options, ...options }, sim);
  }

  /** Cuts the power, losing all that was not synced, and opens what is left. */
  async powerCut(options: Partial<StoreOptionsInput> = {}): Promise<Rig> {
    const files = this.sim.files.crash({ bytes: "lost", names: "lost" }, 1);
    const sim = simHost({ seed: 2, files, clock: this.sim.clock });
    return await Rig.open({ ...this.options, ...options }, sim);
  }

  /** Closes, and opens anew on the same machine. */
  async reopened(options: Partial<StoreOptionsInput> = {}): Promise<Rig> {
    await this.store.close();
    return await Rig.open({ ...this.options, ...options }, this.sim);
  }

  /** Lets everything come to rest that is not held back. */
  settle(): Promise<void> {
    return this.sim.clock.settle();
  }

  set(key: string, value: string, options: RigSetOptions = {}): Promise<SetResult> {
    const { expiry = { kind: "never" }, ...rest } = options;
    return this.store.set(bytes(key), bytes(value), expiry, rest);
  }

  delete(key: string, options: WriteOptions = {}) {
    return this.store.delete(bytes(key), options);
  }

  touch(key: string, expiry: TouchExpiry, options: Omit<WriteOptions, "returnPrevious"> = {}) {
    return this.store.touch(bytes(key), expiry, options);
  }

  /** The value of a key as text; undefined: there is none. */
  async get(key: string): Promise<string | undefined> {
    const record = await this.store.get(bytes(key));
    return record === undefined ? undefined : text(record.value);
  }

  /** The values of several keys; those that are absent are left out. */
  async values(...keys: readonly string[]): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const key of keys) {
      const value = await this.get(key);
      if (value !== undefined) found[key] = value;
    }
    return found;
  }

  /** The operations of the trace on segment files, as names. */
  segmentOperations(): string[] {
    return this.trace.filter(({ path }) => segmentFiles.test(path)).map(({ op }) => op);
  }

  /** Every frame of every segment on the disk, oldest segment first. */
  async frames(): Promise<FoundFrame[]> {
    const { files } = this.sim;
    const storeId = await readStoreMark(files, directories);
    assert.ok(storeId);
    const names = (await files.list(directories.segments)).flatMap(({ name }) => {
      const parsed = segmentFiles.test(name) ? parseSegmentFileName(name) : undefined;
      return parsed === undefined ? [] : [parsed];
    });
    names.sort((one, other) => (one.timestampNs < other.timestampNs ? -1 : 1));
    const found: FoundFrame[] = [];
    for (const { prefix, id, timestampNs } of names) {
      const name = new SegmentName(directories, storeId, prefix, id, timestampNs);
      found.push(...(await this.#framesOf(name)));
    }
    return found;
  }

  async #framesOf(name: SegmentName): Promise<FoundFrame[]> {
    const file = await this.sim.files.open(name.path, "read");
    const segment = new Segment(name, file, true);
    const found: FoundFrame[] = [];
    const range = { file, salt: name.salt, from: 0, to: await file.size() };
    const stop = await scanFrames(range, (scanned) => {
      const records: FoundFrame["records"][number][] = [];
      const { flags, frameBytes } = scanned.frame;
      visitFrame(scanned, segment, {
        entry: (entry) => {
          records.push({
            key: text(entry.bytes.subarray(entry.keyStart, entry.keyEnd)),
            version: entry.version,
            isTombstone: (entry.flags & FrameFlag.TOMBSTONE) !== 0,
            isExpired: (entry.flags & FrameFlag.EXPIRED) !== 0,
          });
        },
      });
      found.push({
        segment: name.fileName,
        offset: scanned.offset,
        length: frameBytes,
        isBarrier: (flags & FrameFlag.BARRIER) !== 0,
        isBatch: (flags & FrameFlag.BATCH) !== 0,
        records,
      });
      return true;
    });
    await file.close();
    assert.equal(stop.kind, "end", `${name.fileName} is damaged at ${stop.offset}`);
    return found;
  }
}
