/**
 * Acceptance: what a write does, decided against the newest accepted state in
 * one synchronous step. It gives the operation its answer and, if it changes
 * anything, a version and an encoded frame in the staging area.
 *
 * An unmet condition or an absent key is an answer, not an error. Errors here
 * are of the kind "not applied": nothing of the operation is kept.
 */
import { Acceptance, type AcceptanceContext, NOTHING } from "./acceptance.js";
import { isMet, resolveExpiry, UNSEEN } from "./acceptance-rules.js";
import type { AcceptedKey } from "./accepted-state.js";
import { CommitEvaluator } from "./commit-evaluator.js";
import { SetRunEvaluator } from "./set-run-evaluator.js";
import type { TouchRequest, UploadRequest, WriteOp, WriteRequest } from "./write-op.js";

/** Evaluates operations one after the other. */
export class Evaluator {
  readonly #acceptance: Acceptance;
  readonly #commits: CommitEvaluator;
  readonly #sets: SetRunEvaluator;

  constructor(context: AcceptanceContext) {
    this.#acceptance = new Acceptance(context);
    this.#commits = new CommitEvaluator(this.#acceptance);
    this.#sets = new SetRunEvaluator(this.#acceptance);
  }

  /** The newest timestamp that a frame was given, in Unix milliseconds; 0: none was. */
  get newestTimestampMs(): number {
    return this.#acceptance.newestTimestampMs;
  }

  /** Accepts `op`, or throws a KvixError with nothing done. */
  evaluate(op: WriteOp): void {
    const { request } = op;
    if (request.kind === "set") this.#set(op, request);
    else if (request.kind === "sets") this.#sets.evaluate(op, request);
    else if (request.kind === "delete") this.#delete(op, request);
    else if (request.kind === "touch") this.#touch(op, request);
    else if (request.kind === "upload") this.#upload(op, request);
    else if (request.kind === "check") this.#check(op, request);
    else if (request.kind === "expire") this.#expire(op, request);
    else if (request.kind === "increment") this.#commits.increment(op, request);
    else if (request.kind === "commit") this.#commits.commit(op, request);
    else {
      op.answer = { kind: "done" };
      this.#acceptance.observe(op, undefined);
    }
  }

  #set(op: WriteOp, request: Extract<WriteRequest, { kind: "set" }>): void {
    const { key, value, expiry, condition, returnPrevious } = request;
    const acceptance = this.#acceptance;
    const { versions, wallMs } = acceptance.context;
    const nowMs = wallMs();
    const isBlind = condition === undefined && !returnPrevious && expiry.kind !== "keep";
    // What stands is looked up only if the answer or the index limit depends on it.
    const isUnseen = isBlind && acceptance.hasIndexRoom(key.length);
    const standing = isUnseen ? UNSEEN : acceptance.look(key, nowMs);
    if (!isMet(condition, standing)) {
      this.#refuse(op, standing);
      return;
    }
    const expiresAtMs = resolveExpiry(expiry, standing, nowMs);
    versions.requireRoomFor(1);
    acceptance.requireSpace(op);
    acceptance.requireIndexRoom(key, standing);
    const version = acceptance.nextVersion;
    const draft = acceptance.draftRecord(key, value, version, expiresAtMs, nowMs, standing);
    acceptance.append(op, draft, nowMs);
    const place = returnPrevious && standing.isVisible ? standing.place : undefined;
    op.answer = { kind: "set", applied: true, version, expiresAtMs, place };
  }

  #delete(op: WriteOp, request: Extract<WriteRequest, { kind: "delete" }>): void {
    const acceptance = this.#acceptance;
    const nowMs = acceptance.context.wallMs();
    const { key } = request;
    const standing = acceptance.look(key, nowMs);
    if (!isMet(request.condition, standing)) {
      const place = standing.isVisible ? standing.place : undefined;
      op.answer = { kind: "delete", applied: false, deleted: false, version: 0, place };
      acceptance.observe(op, standing);
      return;
    }
    const unmoved = { kind: "delete", applied: true, deleted: false, version: 0 } as const;
    if (!standing.exists && !acceptance.context.hasUnread) {
      op.answer = { ...unmoved, place: undefined };
      acceptance.observe(op, standing);
      return;
    }
    const isExpired = standing.exists && !standing.isVisible;
    const version = this.#appendTombstone(op, key, isExpired, nowMs);
    if (!standing.isVisible) {
      op.answer = { ...unmoved, place: undefined };
      return;
    }
    const place = request.returnPrevious ? standing.place : undefined;
    op.answer = { kind: "delete", applied: true, deleted: true, version, place };
  }

  /** The record that stands, with its value and a version and an expiry of its own. */
  #touch(op: WriteOp, { key, expiry, condition }: TouchRequest): void {
    const acceptance = this.#acceptance;
    const { versions, values, wallMs } = acceptance.context;
    const nowMs = wallMs();
    const standing = acceptance.look(key, nowMs);
    const unmoved = { kind: "touch", found: false, version: 0, expiresAtMs: 0 } as const;
    const applied = isMet(condition, standing);
    if (!applied || !standing.isVisible) {
      const place = applied || !standing.isVisible ? undefined : standing.place;
      op.answer = { ...unmoved, applied, place };
      acceptance.observe(op, standing);
      return;
    }
    const expiresAtMs = resolveExpiry(expiry, standing, nowMs);
    versions.requireRoomFor(1);
    const value = values.take(op, standing);
    acceptance.requireSpace(op, key.length + value.length);
    const version = acceptance.nextVersion;
    const draft = acceptance.draftRecord(key, value, version, expiresAtMs, nowMs, standing);
    acceptance.append(op, draft, nowMs);
    op.answer = { kind: "touch", applied, found: true, version, expiresAtMs, place: undefined };
  }

  /** A Set whose value is in a file. */
  #upload(op: WriteOp, { key, value, expiry, condition }: UploadRequest): void {
    const acceptance = this.#acceptance;
    const { versions, wallMs } = acceptance.context;
    const nowMs = wallMs();
    const standing = acceptance.look(key, nowMs);
    if (!isMet(condition, standing)) {
      this.#refuse(op, standing);
      return;
    }
    const expiresAtMs = resolveExpiry(expiry, standing, nowMs);
    versions.requireRoomFor(1);
    acceptance.requireSpace(op, key.length + (value?.length ?? 0));
    acceptance.requireIndexRoom(key, standing);
    const version = acceptance.nextVersion;
    const content = value ?? NOTHING;
    const draft = acceptance.draftRecord(key, content, version, expiresAtMs, nowMs, standing);
    acceptance.append(op, draft, nowMs);
    op.answer = { kind: "set", applied: true, version, expiresAtMs, place: undefined };
  }

  #check(op: WriteOp, request: Extract<WriteRequest, { kind: "check" }>): void {
    const standing = this.#acceptance.look(request.key, this.#acceptance.context.wallMs());
    // That it holds promises nothing, so there is nothing to wait for.
    op.answer = { kind: "set", applied: true, version: 0, expiresAtMs: 0, place: undefined };
    if (!isMet(request.condition, standing)) this.#refuse(op, standing);
  }

  /** The answer to a Set whose condition is not met. */
  #refuse(op: WriteOp, standing: AcceptedKey): void {
    const place = standing.isVisible ? standing.place : undefined;
    op.answer = { kind: "set", applied: false, version: 0, expiresAtMs: 0, place };
    this.#acceptance.observe(op, standing);
  }

  /** The sweep's conditional write: only if the newest state is still the expired version it saw. */
  #expire(op: WriteOp, request: Extract<WriteRequest, { kind: "expire" }>): void {
    const nowMs = this.#acceptance.context.wallMs();
    const standing = this.#acceptance.look(request.key, nowMs);
    op.answer = { kind: "done" };
    if (!standing.exists || standing.isVisible || standing.version !== request.version) return;
    this.#appendTombstone(op, request.key, true, nowMs);
  }

  #appendTombstone(op: WriteOp, key: Uint8Array, isExpired: boolean, nowMs: number): number {
    const acceptance = this.#acceptance;
    acceptance.context.versions.requireRoomFor(1);
    const version = acceptance.nextVersion;
    acceptance.append(op, acceptance.draftTombstone(key, version, nowMs, isExpired), nowMs);
    return version;
  }
}
