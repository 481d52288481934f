/**
 * The one queue that every mutation passes.
 *
 *   submit -> [waiting for room, or for a record to be read]
 *     -> accept (evaluate, version, encode) -> staged
 *     -> group: written with one append -> synced, if anyone asked for it
 *     -> published in version order -> answered
 *
 * A group whose sync has returned is published while the sync of the next one is
 * under way, if the next one can be written without waiting for anything: so the
 * disk does not wait for the index (group-publisher.ts).
 *
 * Group commit: all that is accepted while a sync is under way makes the next
 * group. A BUFFERED write is published once its group is written, up to the
 * first write of the group that waits for the sync; from there on all wait, so
 * that publication is a prefix of version order (V14). A SYNC answer that
 * depends on what is not durable yet waits like a write, though it appends
 * nothing.
 *
 * Invariants
 *  1. Nothing is acknowledged as durable before its sync has returned (V1).
 *  2. A failed append is cut back before anything of it is answered; what was
 *     accepted on top of it is evaluated again.
 *  3. Bytes in flight and calls waiting are bounded (V11).
 */
import { KvixError } from "../base/kvix-error.js";
import type { Clock, Log as HostLog } from "../host/host.js";
import type { Evaluator } from "./evaluator.js";
import { GroupPublisher, type GroupPublisherContext } from "./group-publisher.js";
import type { Group, GroupWriter } from "./group-writer.js";
import type { Log } from "./log.js";
import type { Pins } from "./pins.js";
import type { Outcome } from "./store-records.js";
import type { ValueSource } from "./value-source.js";
import type { Versions } from "./versions.js";
import { cancelled, WaitingLine } from "./waiting-line.js";
import { WriteOp, type WriteResult } from "./write-op.js";

/** What the queue works with. */
export interface WriteQueueContext extends GroupPublisherContext {
  readonly clock: Clock;
  readonly hostLog: HostLog;
  readonly log: Log;
  readonly evaluator: Evaluator;
  readonly values: ValueSource;
  readonly versions: Versions;
  readonly groups: GroupWriter;
  readonly pins: Pins;
  readonly inFlightBytesMax: number;
  readonly flushIntervalMs: number;
  /** Is called when nothing is left to write. */
  readonly onIdle: () => void;
}

/** Takes mutations in, one after the other, and sees them through. */
export class WriteQueue {
  readonly #context: WriteQueueContext;
  readonly #waiting = new WaitingLine();
  readonly #out: GroupPublisher;
  readonly #flushTimer = new AbortController();
  #inFlightBytes = 0;
  #isRunning = false;
  #isFlushArmed = false;
  #syncAsked = false;
  #isClosed = false;
  #idle: (() => void)[] = [];
  /** Work that must not meet a group on its way; done before the next one. */
  #tasks: (() => Promise<void>)[] = [];
  #durableVersion: number;
  #writtenVersion: number;
  groups = 0;
  /** Is called when more is published, or more of it is durable: those who follow the log wait for it. */
  onProgress: () => void = () => undefined;

  constructor(context: WriteQueueContext) {
    this.#context = context;
    const countOut = (op: WriteOp): void => {
      this.#inFlightBytes -= op.costBytes;
    };
    this.#out = new GroupPublisher(context, countOut, () => {
      this.#admitWaiting();
      this.onProgress();
    });
    this.#durableVersion = context.versions.last;
    this.#writtenVersion = context.versions.last;
    context.values.onRead = () => this.#admitAfterRead();
  }

  /** Whether writes are under way. */
  get isBusy(): boolean {
    return this.#isRunning;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  get waitingCalls(): number {
    return this.#waiting.count;
  }

  /** All versions up to this one are durable. */
  get durableVersion(): number {
    return this.#durableVersion;
  }

  /** Sees an operation through; rejects with a KvixError. */
  submit(op: WriteOp, signal?: AbortSignal): Promise<WriteResult> {
    return new Promise((resolve, reject) => this.enter(op, { resolve, reject }, signal));
  }

  /** Sees an operation through; its outcome hears a result or a KvixError. */
  enter(op: WriteOp, outcome: Outcome<WriteResult>, signal?: AbortSignal): void {
    const { latch, values } = this.#context;
    op.begin(outcome);
    if (this.#isClosed) op.reject(new KvixError("STORE_CLOSING"));
    else if (latch.isClosed) op.reject(latch.readOnly());
    else if (signal?.aborted === true) op.reject(cancelled(signal));
    else if (this.#hasRoomFor(op) && values.isReady(op)) this.#accept(op);
    else this.#line(op, signal);
  }

  #line(op: WriteOp, signal: AbortSignal | undefined): void {
    const { values } = this.#context;
    const isInLine = this.#waiting.add(op, signal, () => values.release(op));
    if (isInLine) values.readAhead(op);
    else values.release(op);
    this.#kick();
  }

  /** Resolves when everything accepted up to now is durable. */
  async flush(): Promise<void> {
    const { latch } = this.#context;
    try {
      await this.submit(new WriteOp({ kind: "flush" }, "sync", 0));
    } catch (error) {
      // What was acknowledged as buffered may be lost.
      throw latch.isClosed ? latch.uncertain() : error;
    }
  }

  /**
   * Runs `task` while no group is under way: what is written is published, and
   * nothing is written meanwhile. Rejects with what it throws, and with
   * STORE_READ_ONLY or STORE_CLOSING if it cannot be run.
   */
  between<Result>(task: () => Promise<Result>): Promise<Result> {
    const { latch } = this.#context;
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new KvixError("STORE_CLOSING"));
      this.#tasks.push(async () => {
        if (latch.isClosed) reject(latch.readOnly());
        else await task().then(resolve, reject);
      });
      this.#kick();
    });
  }

  /** Takes nothing more in, and resolves when all that was taken in is answered and synced. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#flushTimer.abort();
    this.#syncAsked = true;
    this.#kick();
    // The log is still open for the answers that are read from it.
    await this.#untilIdle().then(() => this.#context.answerer.idle());
  }

  #hasRoomFor(op: WriteOp): boolean {
    if (this.#waiting.count > 0) return false;
    return this.#inFlightBytes === 0 || this.#fits(op);
  }

  #fits(op: WriteOp): boolean {
    return this.#inFlightBytes + op.costBytes <= this.#context.inFlightBytesMax;
  }

  #accept(op: WriteOp): void {
    const { evaluator, staging, values, pins } = this.#context;
    try {
      evaluator.evaluate(op);
    } catch (error) {
      op.reject(error);
      return;
    } finally {
      values.release(op);
    }
    if (op.readsLog) op.keep(pins.enter());
    // The value of an upload is not in memory.
    const isInMemory = op.request.kind !== "upload";
    if (isInMemory && op.frameBytes > op.costBytes) op.costBytes = op.frameBytes;
    if (op.frameBytes === 0 && !this.#mustWait(op)) {
      this.#context.answerer.answer(op);
      return;
    }
    if (op.frameBytes === 0) staging.chunkFor(0).ops.push(op);
    this.#inFlightBytes += op.costBytes;
    this.#kick();
  }

  /** Whether an answer that appends nothing tells of what is not published, or not durable. */
  #mustWait(op: WriteOp): boolean {
    if (op.request.kind === "expire") return false;
    if (op.dependsOn > this.#context.publisher.version) return true;
    return op.durability === "sync" && op.dependsOn > this.#durableVersion;
  }

  #kick(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#context.clock.soon(() => {
      this.#run().catch((error: unknown) => {
        this.#context.latch.close("the write queue met a defect", error);
        this.#failEverything();
        this.#rest();
      });
    });
  }

  async #run(): Promise<void> {
    const { staging, latch, log, values, groups } = this.#context;
    for (;;) {
      if (!groups.isReady || this.#tasks.length > 0) this.#out.payOwed();
      for (const task of this.#tasks.splice(0)) {
        await task();
        // It may have sealed a segment, and synced it first.
        if (!log.isDirty && !latch.isClosed) this.#allIsDurable();
      }
      if (latch.isClosed) {
        this.#failEverything();
        break;
      }
      this.#admitWaiting();
      if (!staging.isEmpty) await this.#runGroup();
      // At a close, what was let in late is synced as well: the clean mark covers all of it.
      else if ((this.#syncAsked || this.#isClosed) && log.isDirty) await this.#syncOnly();
      else if (this.#tasks.length > 0) continue;
      else if (this.#waiting.count === 0) break;
      else await values.untilRead(this.#waiting.first);
    }
    this.#rest();
  }

  #rest(): void {
    this.#isRunning = false;
    this.#syncAsked = false;
    this.#context.onIdle();
    const idle = this.#idle;
    this.#idle = [];
    for (const wake of idle) wake();
    // After a defect some may be left: they are told of the latch.
    if (this.#tasks.length > 0) this.#kick();
  }

  #untilIdle(): Promise<void> {
    if (!this.#isRunning) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #syncOnly(): Promise<void> {
    const { log } = this.#context;
    this.#syncAsked = false;
    try {
      await log.sync();
      this.#allIsDurable();
    } catch (error) {
      if (!this.#context.latch.isClosed) throw error;
    }
  }

  async #runGroup(): Promise<void> {
    const { log, latch, groups } = this.#context;
    let group: Group | undefined;
    let wasWritten = false;
    try {
      group = await groups.write(() => this.#out.payOwed());
      wasWritten = true;
      // The latch may have closed over the manifest meanwhile: nothing more is acknowledged.
      if (latch.isClosed) throw latch.uncertain();
      this.groups += 1;
      if (group.lastVersion > 0) this.#writtenVersion = group.lastVersion;
      const { ops } = group;
      const firstSync = this.#syncAsked ? 0 : ops.findIndex((op) => this.#needsSync(op));
      if (firstSync === -1) {
        this.#out.payOwed();
        if (latch.isClosed) throw latch.uncertain();
        this.#out.publish(ops, 0, ops.length);
        this.#out.recycle(group);
        if (log.isDirty) this.#armFlush();
        return;
      }
      this.#syncAsked = false;
      const synced = log.sync();
      // It is awaited below; until then a rejection is not an unhandled one.
      synced.catch(() => undefined);
      this.#out.payOwed();
      if (!latch.isClosed) this.#out.publish(ops, 0, firstSync);
      await synced;
      this.#allIsDurable();
      this.#out.owe(group, firstSync);
    } catch (error) {
      this.#out.payOwed();
      await this.#fail(group, wasWritten, error);
    }
  }

  /** A sync has covered all that is written. */
  #allIsDurable(): void {
    this.#durableVersion = this.#writtenVersion;
    this.onProgress();
  }

  #needsSync(op: WriteOp): boolean {
    if (op.durability !== "sync") return false;
    return op.frameBytes > 0 || op.dependsOn > this.#durableVersion;
  }

  #admitWaiting(): void {
    const { values } = this.#context;
    for (let op = this.#waiting.first; op !== undefined; op = this.#waiting.first) {
      if (this.#inFlightBytes > 0 && !this.#fits(op)) return;
      if (!values.isReady(op)) return;
      this.#waiting.take();
      this.#accept(op);
    }
  }

  /** A record was read: the group that is being written must not hold up those behind it. */
  #admitAfterRead(): void {
    if (!this.#context.latch.isClosed) this.#admitWaiting();
  }

  #armFlush(): void {
    if (this.#isFlushArmed || this.#isClosed) return;
    this.#isFlushArmed = true;
    const { clock, flushIntervalMs } = this.#context;
    void clock.sleep(flushIntervalMs, this.#flushTimer.signal).then(() => {
      this.#isFlushArmed = false;
      if (!this.#context.log.isDirty) return;
      this.#syncAsked = true;
      this.#kick();
    });
  }

  /** The group failed, and maybe the latch closed: answers for it, and goes on with the rest. */
  async #fail(written: Group | undefined, wasWritten: boolean, error: unknown): Promise<void> {
    const { latch, staging, state, hostLog, groups } = this.#context;
    const group = written ?? groups.taken;
    if (!(error instanceof KvixError)) {
      latch.close("the write queue met a defect", error);
    }
    if (latch.isClosed) {
      const mayBeWritten =
        wasWritten || (error instanceof KvixError && error.outcome === "unknown");
      this.#out.rejectUnanswered(group.ops, mayBeWritten);
      this.#failEverything();
      return;
    }
    hostLog.warn({ err: error, writes: group.ops.length }, "a group could not be written");
    // A cut was synced, and with it all that stands before it.
    if (!this.#context.log.isDirty) this.#allIsDurable();
    state.giveUp();
    const again: WriteOp[] = [];
    const isFull = error instanceof KvixError && error.reason === "NO_SPACE";
    const failed = group.ops.length > 0 ? group.ops : staging.takeUpToFrames();
    for (const op of failed) {
      const isInnocent = op.isInnocentOf(error);
      const isSpared =
        op.frameBytes === 0 || isInnocent || (isFull && op.onlyDeletes && !op.wasSentBack);
      if (isSpared) {
        op.wasSentBack = op.frameBytes > 0 && !isInnocent;
        again.push(op);
      } else {
        this.#inFlightBytes -= op.costBytes;
        op.reject(error);
      }
    }
    for (const chunk of staging.takeAll()) for (const op of chunk.ops) again.push(op);
    for (const op of again) {
      this.#inFlightBytes -= op.costBytes;
      op.forgetAnswer();
      this.#accept(op);
    }
  }

  #failEverything(): void {
    const { latch, staging, state, values } = this.#context;
    state.giveUp();
    for (const chunk of staging.takeAll()) {
      for (const op of chunk.ops) {
        this.#inFlightBytes -= op.costBytes;
        op.reject(latch.readOnly());
      }
    }
    for (let op = this.#waiting.take(); op !== undefined; op = this.#waiting.take()) {
      values.release(op);
      op.reject(latch.readOnly());
    }
  }
}
