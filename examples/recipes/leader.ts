/**
 * One of many processes leads, as long as it can prove that it lives.
 *
 *     waiting -> leading -> waiting ...       until the signal
 *
 * It holds a lock and renews it. If it cannot, its own clock tells it to stop before the
 * lock is free: the time counts from before the call that won it.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { KeyValueStore } from "kvix";
import { Lock } from "./lock.js";

/** What a leader does until it leads no more; its signal says when. */
export type Leadership = (signal: AbortSignal, lock: Lock) => Promise<void>;

/** Takes part in the election of `name` until `signal`; leads for `ttlMs` at a time. */
export async function takePart(
  kvix: KeyValueStore,
  name: string,
  ttlMs: number,
  lead: Leadership,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const askedAt = performance.now();
    const lock = await Lock.take(kvix, name, ttlMs);
    if (lock === undefined) await vacancy(kvix, name, ttlMs, signal);
    else await leadWith(lock, askedAt + ttlMs, ttlMs, lead, signal);
  }
}

/** Leads until the work is done, the lock is lost, or its time is up by this clock. */
async function leadWith(
  lock: Lock,
  heldUntil: number,
  ttlMs: number,
  lead: Leadership,
  signal: AbortSignal,
): Promise<void> {
  const ending = new AbortController();
  const leading = AbortSignal.any([signal, ending.signal]);
  const stopAt = (at: number) => setTimeout(() => ending.abort(), at - performance.now());
  let deadline = stopAt(heldUntil);
  const work = lead(leading, lock).finally(() => ending.abort());
  // It is waited for below.
  work.catch(() => undefined);
  while (!leading.aborted) {
    await delay(ttlMs / 3, undefined, { signal: leading }).catch(() => undefined);
    if (leading.aborted) break;
    const askedAt = performance.now();
    // A server that cannot be reached for a while is no end yet; the deadline is.
    const isHeld = await lock.renew().catch(() => undefined);
    if (isHeld === false) ending.abort();
    if (isHeld !== true) continue;
    clearTimeout(deadline);
    deadline = stopAt(askedAt + ttlMs);
  }
  clearTimeout(deadline);
  try {
    await work;
  } finally {
    // If it cannot be given back it frees itself.
    await lock.release().catch(() => undefined);
  }
}

/** Waits until the lock may be free: its record is gone, or some time has passed. */
async function vacancy(
  kvix: KeyValueStore,
  name: string,
  ttlMs: number,
  signal: AbortSignal,
): Promise<void> {
  const key = `lock:${name}`;
  try {
    const options = { key, includeCurrent: true, progressIntervalMs: Math.max(ttlMs, 100), signal };
    for await (const { events, isCurrent } of kvix.watch(options)) {
      // Expired records are swept in their time; the progress of the watch is the second look.
      if (!isCurrent && events.at(-1)?.kind !== "set") return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
