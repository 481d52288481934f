/**
 * The expiry sweep: the only way in which an expiry reaches the disk.
 *
 *   due entry of the keydir -> conditional write in the common queue -> EXPIRED
 *   tombstone, only if the newest state is still the expired version it saw
 *
 * Reads hide an expired record at once, whatever the sweep does. The sweep
 * destroys, so it pauses while the wall clock cannot be trusted: when wall and
 * monotonic time have parted by more than a minute since the start, or when the
 * wall clock at the opening was before, or more than 30 days after, the newest
 * frame; until an hour has passed, or for good with `trustClock` (T6). And it leaves
 * alone what may have been replaced by a record that could not be read (unread.ts).
 */
import type { Clock, Log as HostLog } from "../host/host.js";
import type { Keydir } from "./keydir/keydir.js";

/** How often the sweep looks for what is due. */
const TICK_MS = 100;
/** How many entries one tick may expire: 10,000 a second. */
const EXPIRES_PER_TICK_MAX = 1000;
/** How far wall and monotonic time may part. */
const DIVERGENCE_MS_MAX = 60_000;
/** How old the newest frame may be at the opening. */
const NEWEST_FRAME_AGE_MS_MAX = 30 * 24 * 3_600_000;
/** How long a pause lasts. */
const PAUSE_MS = 3_600_000;

/** What the sweep works with. */
export interface SweepContext {
  readonly clock: Clock;
  readonly log: HostLog;
  readonly keydir: Keydir;
  readonly trustClock: boolean;
  /** The newest frame's timestamp at the opening; 0: there is none. */
  readonly newestTimestampMs: number;
  /** Records up to this version may have been replaced by what could not be read; 0: none. */
  readonly unreadVersion: number;
  /** Whether the queue has room for more now. */
  readonly isIdle: () => boolean;
  /** Submits the conditional write; answers whether it appended anything, never rejects. */
  readonly expire: (key: Uint8Array, version: number) => Promise<boolean>;
}

/** Looks for due entries until it is stopped. */
export class Sweep {
  readonly #context: SweepContext;
  readonly #stop = new AbortController();
  #wallStartMs: number;
  #monotonicStartMs: number;
  #pausedUntilMs = 0;
  #pausedBecause: string | undefined;
  #running: Promise<void> | undefined;
  /** How many records were expired on disk. */
  expired = 0;

  constructor(context: SweepContext) {
    this.#context = context;
    this.#wallStartMs = context.clock.wallMs();
    this.#monotonicStartMs = context.clock.monotonicMs();
    const { newestTimestampMs } = context;
    if (newestTimestampMs === 0) return;
    const ageMs = this.#wallStartMs - newestTimestampMs;
    if (ageMs < 0) this.#pause("the wall clock is before the newest record");
    else if (ageMs > NEWEST_FRAME_AGE_MS_MAX) {
      this.#pause("the wall clock is more than 30 days after the newest record");
    }
  }

  /** Why nothing is expired now; undefined: it is. */
  get pausedBecause(): string | undefined {
    return this.#pausedBecause;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#stop;
    for (;;) {
      await clock.sleep(TICK_MS, signal);
      if (signal.aborted) return;
      if (this.#mayExpire()) await this.#tick();
    }
  }

  #pause(why: string): void {
    const { clock, log, trustClock } = this.#context;
    if (trustClock) return;
    this.#pausedBecause = why;
    this.#pausedUntilMs = clock.monotonicMs() + PAUSE_MS;
    log.warn({ why }, "expired records are kept on disk for an hour: the clock looks wrong");
  }

  #mayExpire(): boolean {
    const { clock, log, keydir, isIdle } = this.#context;
    const wallMs = clock.wallMs();
    const monotonicMs = clock.monotonicMs();
    if (this.#pausedBecause !== undefined) {
      if (monotonicMs < this.#pausedUntilMs) return false;
      log.info({}, "expired records are removed again");
      this.#pausedBecause = undefined;
      this.#wallStartMs = wallMs;
      this.#monotonicStartMs = monotonicMs;
    }
    const parted = wallMs - this.#wallStartMs - (monotonicMs - this.#monotonicStartMs);
    if (Math.abs(parted) > DIVERGENCE_MS_MAX) {
      this.#pause("the wall clock has jumped");
      if (this.#pausedBecause !== undefined) return false;
    }
    return keydir.expiring > 0 && isIdle();
  }

  async #tick(): Promise<void> {
    const { clock, keydir, expire, unreadVersion } = this.#context;
    const writes: Promise<boolean>[] = [];
    keydir.soonestDue(clock.wallMs(), EXPIRES_PER_TICK_MAX, (entry) => {
      const version = keydir.versionOf(entry);
      if (version > unreadVersion) writes.push(expire(keydir.keyOf(entry), version));
    });
    for (const isExpired of await Promise.all(writes)) if (isExpired) this.expired += 1;
  }
}
