/**
 * The digest of a request: tells a repeat from another request under the same
 * request_id. SHA-256 of the request as it was asked: a ttl is a ttl, whenever it
 * is asked; durability is not part of it, for it says when to answer and not what
 * to do. It lies on disk, so what goes into it is fixed:
 *
 *     increment   "I" key expiry i64(delta) i64(initial)
 *     commit      "C" u32(how many conditions), each: key condition
 *                     u32(how many mutations), each:
 *                       "s" key u32(length) value expiry
 *                       "d" key
 *                       "t" key expiry
 *                       "i" key expiry i64(delta) i64(initial)
 *
 *     key         u32(length) bytes
 *     expiry      "n" | "k" | "t" f64(ms) | "a" f64(ms)     never, keep, ttl, at
 *     condition   "a" | "p" | "v" f64(version)              absent, present, version
 *
 * All little-endian. An expiry that was left out is what it stands for.
 */
import { createHash, type Hash } from "node:crypto";
import type { Condition, Expiry, KeyCondition, Mutation } from "../store.js";

/** The digest of a Commit: 32 bytes. */
export function commitDigest(
  conditions: readonly KeyCondition[],
  mutations: readonly Mutation[],
): Uint8Array {
  const hash = createHash("sha256");
  hash.update("C");
  addCount(hash, conditions.length);
  for (const { key, condition } of conditions) {
    addBytes(hash, key);
    addCondition(hash, condition);
  }
  addCount(hash, mutations.length);
  for (const mutation of mutations) {
    hash.update(LETTERS[mutation.kind]);
    addBytes(hash, mutation.key);
    if (mutation.kind === "set") addBytes(hash, mutation.value);
    if (mutation.kind !== "delete") addExpiry(hash, expiryOf(mutation));
    if (mutation.kind === "increment") addNumbers(hash, mutation.delta, mutation.initial);
  }
  return hash.digest();
}

/** The digest of an Increment: 32 bytes. */
export function incrementDigest(
  key: Uint8Array,
  expiry: Expiry,
  delta: bigint,
  initial: bigint,
): Uint8Array {
  const hash = createHash("sha256");
  hash.update("I");
  addBytes(hash, key);
  addExpiry(hash, expiry);
  addNumbers(hash, delta, initial);
  return hash.digest();
}

/** The expiry of a mutation that may leave it out: a set never expires, an increment keeps. */
export function expiryOf(mutation: Exclude<Mutation, { kind: "delete" }>): Expiry {
  if (mutation.expiry !== undefined) return mutation.expiry;
  return { kind: mutation.kind === "increment" ? "keep" : "never" };
}

const LETTERS = { set: "s", delete: "d", touch: "t", increment: "i" } as const;

const scratch = new Uint8Array(16);
const scratchView = new DataView(scratch.buffer);

function addCount(hash: Hash, count: number): void {
  scratchView.setUint32(0, count, true);
  hash.update(scratch.subarray(0, 4));
}

function addBytes(hash: Hash, bytes: Uint8Array): void {
  addCount(hash, bytes.length);
  hash.update(bytes);
}

function addFloat(hash: Hash, letter: string, value: number): void {
  scratchView.setUint8(0, letter.charCodeAt(0));
  // Adding 0 makes 0 of -0: they ask for the same.
  scratchView.setFloat64(1, value + 0, true);
  hash.update(scratch.subarray(0, 9));
}

function addNumbers(hash: Hash, delta: bigint, initial: bigint): void {
  scratchView.setBigInt64(0, delta, true);
  scratchView.setBigInt64(8, initial, true);
  hash.update(scratch);
}

function addExpiry(hash: Hash, expiry: Expiry): void {
  if (expiry.kind === "ttl") addFloat(hash, "t", expiry.ttlMs);
  else if (expiry.kind === "at") addFloat(hash, "a", expiry.atMs);
  else hash.update(expiry.kind === "keep" ? "k" : "n");
}

function addCondition(hash: Hash, condition: Condition): void {
  if (condition.kind === "version") addFloat(hash, "v", condition.version);
  else hash.update(condition.kind === "absent" ? "a" : "p");
}
