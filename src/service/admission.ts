/**
 * Who may hold memory for messages, and who waits for it. No timers and no
 * streams here: bytes, and an order.
 *
 *     a message of at most 64 KiB   is let in at once, or refused
 *     a larger one                  is let in, waits, or is refused
 *
 * Invariants (V11)
 *  1. What is held stays at most `bytesMax`, but for one message that is alone
 *     larger than large messages may be together, and for answers that
 *     turned out larger than was foreseen.
 *  2. Large messages have three quarters of it and small ones a quarter: small
 *     calls are served while large ones queue.
 *  3. A connection's large messages hold at most a quarter of that, or are one.
 *     So one client that does not read cannot stop the others.
 *  4. At most `waitingMax` wait, half of them for one connection, beside the messages of
 *     uploads under way, of which there are few. What they have
 *     sent meanwhile is at most half of `bytesMax`, half of that for one
 *     connection.
 *  5. First come, first served, but one whose connection has its share is passed
 *     by.
 */
import { KvixError } from "../base/kvix-error.js";

/** Up to here a message is small, in bytes. */
export const SMALL_BYTES_MAX = 65_536;

/** What is held for a request of this length; 0 if it is a small one. */
export function largeBytes(lengthBytes: number): number {
  return lengthBytes <= SMALL_BYTES_MAX ? 0 : 2 * lengthBytes;
}

/** How much there is. */
export interface AdmissionLimits {
  readonly bytesMax: number;
  readonly waitingMax: number;
  /** What a call that waits may have sent, in bytes. */
  readonly windowBytes: number;
}

/** What one connection holds and waits for. */
export class Account {
  largeBytes = 0;
  waiting = 0;
  bufferedBytes = 0;
}

/** What is still to come of an amount that waits; see `takeLarge`. */
export type Arrival = "received" | "arriving" | "under way";

interface Place {
  readonly hold: Hold;
  readonly bytes: number;
  readonly bufferedBytes: number;
  readonly enter: () => void;
}

/** The memory of all messages. */
export class Admission {
  readonly #smallMax: number;
  readonly #largeMax: number;
  readonly #shareMax: number;
  readonly #waitingMax: number;
  readonly #bufferedMax: number;
  readonly #windowBytes: number;
  readonly #line = new Set<Place>();
  #smallBytes = 0;
  #largeBytes = 0;
  #bufferedBytes = 0;
  #refused = 0;

  constructor({ bytesMax, waitingMax, windowBytes }: AdmissionLimits) {
    this.#largeMax = Math.floor((bytesMax * 3) / 4);
    this.#smallMax = bytesMax - this.#largeMax;
    this.#shareMax = Math.floor(this.#largeMax / 4);
    this.#waitingMax = waitingMax;
    this.#bufferedMax = Math.floor(bytesMax / 2);
    this.#windowBytes = windowBytes;
  }

  /** What is held, in bytes. */
  get heldBytes(): number {
    return this.#smallBytes + this.#largeBytes;
  }

  /** How many calls wait. */
  get waiting(): number {
    return this.#line.size;
  }

  /** How many calls were refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  /** Lets a small amount in. Throws OVERLOADED. */
  takeSmall(hold: Hold, bytes: number): void {
    if (this.#smallBytes + bytes > this.#smallMax) throw this.#overloaded();
    this.addSmall(hold, bytes);
  }

  /** A small amount is there already. */
  addSmall(hold: Hold, bytes: number): void {
    this.#smallBytes += bytes;
    hold.smallBytes += bytes;
  }

  /**
   * Lets a large amount in now (true), or later: then `enter` is called, unless
   * the hold leaves before. `arrival`: nothing more of it comes meanwhile (received);
   * it comes up to a window (arriving); or it belongs to a call that was let in, whose
   * window is its own and which is refused no more (under way). Throws OVERLOADED. A
   * hold waits for one amount at a time.
   */
  takeLarge(hold: Hold, bytes: number, arrival: Arrival, enter: () => void): boolean {
    const { account } = hold;
    if (this.#fits(account, bytes) && !this.#isHeldUp()) {
      this.#let(hold, bytes);
      return true;
    }
    const bufferedBytes = arrival === "arriving" ? Math.min(bytes, this.#windowBytes) : 0;
    const isRefusable = arrival !== "under way";
    if (isRefusable && !this.#hasPlace(account, bufferedBytes)) throw this.#overloaded();
    const place = { hold, bytes, bufferedBytes, enter };
    this.#line.add(place);
    hold.place = place;
    account.waiting += 1;
    account.bufferedBytes += bufferedBytes;
    this.#bufferedBytes += bufferedBytes;
    return false;
  }

  /** A large amount turned out to be `deltaBytes` more (or less), and is there already. */
  adjust(hold: Hold, deltaBytes: number): void {
    this.#let(hold, Math.max(deltaBytes, -hold.largeBytes));
    if (deltaBytes < 0) this.#advance();
  }

  /** The hold gives up its place in the line. */
  leave(hold: Hold): void {
    const place = hold.place as Place | undefined;
    if (place === undefined) return;
    this.#remove(place);
    this.#advance();
  }

  /** The hold gives back all that it holds, and its place. Idempotent. */
  release(hold: Hold): void {
    if (hold.place !== undefined) this.#remove(hold.place as Place);
    this.#smallBytes -= hold.smallBytes;
    hold.smallBytes = 0;
    this.#let(hold, -hold.largeBytes);
    if (this.#line.size > 0) this.#advance();
  }

  /** A refusal that the caller decided on. */
  overloaded(): KvixError {
    return this.#overloaded();
  }

  #fits(account: Account, bytes: number): boolean {
    const fitsAll = this.#largeBytes === 0 || this.#largeBytes + bytes <= this.#largeMax;
    return fitsAll && this.#fitsShare(account, bytes);
  }

  /** Whether somebody waits for room, and not for a share of it. */
  #isHeldUp(): boolean {
    for (const { hold, bytes } of this.#line) {
      if (this.#fitsShare(hold.account, bytes)) return true;
    }
    return false;
  }

  #fitsShare(account: Account, bytes: number): boolean {
    return account.largeBytes === 0 || account.largeBytes + bytes <= this.#shareMax;
  }

  #hasPlace(account: Account, bufferedBytes: number): boolean {
    const isOwnLineLong =
      account.waiting > 0 &&
      (account.waiting >= this.#waitingMax / 2 ||
        account.bufferedBytes + bufferedBytes > this.#bufferedMax / 2);
    return (
      !isOwnLineLong &&
      this.#line.size < this.#waitingMax &&
      (this.#bufferedBytes === 0 || this.#bufferedBytes + bufferedBytes <= this.#bufferedMax)
    );
  }

  #let(hold: Hold, bytes: number): void {
    hold.largeBytes += bytes;
    hold.account.largeBytes += bytes;
    this.#largeBytes += bytes;
  }

  #remove(place: Place): void {
    const { hold, bufferedBytes } = place;
    this.#line.delete(place);
    hold.place = undefined;
    hold.account.waiting -= 1;
    hold.account.bufferedBytes -= bufferedBytes;
    this.#bufferedBytes -= bufferedBytes;
  }

  /** Lets in whoever's turn it is. Bounded by the length of the line. */
  #advance(): void {
    for (const place of this.#line) {
      const { account } = place.hold;
      if (!this.#fitsShare(account, place.bytes)) continue;
      // One that has its share but finds no room holds the line up, or it would wait for ever.
      if (!this.#fits(account, place.bytes)) return;
      this.#remove(place);
      this.#let(place.hold, place.bytes);
      place.enter();
    }
  }

  #overloaded(): KvixError {
    this.#refused += 1;
    return new KvixError("OVERLOADED", `${this.#line.size} calls wait for memory`, {
      metadata: { waitingCalls: this.#line.size, heldBytes: this.heldBytes },
    });
  }
}

/** What one call holds. Only Admission changes it. */
export class Hold {
  readonly account: Account;
  smallBytes = 0;
  largeBytes = 0;
  /** Its place in the line, if it waits. */
  place: object | undefined;

  constructor(account: Account) {
    this.account = account;
  }
}
