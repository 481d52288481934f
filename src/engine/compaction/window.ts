/**
 * The hours of the day in which compaction may run by itself, in UTC:
 *
 *   ""            all of the day, as does "0-24"
 *   "22-6"        from 22:00 to 6:00 of the next day
 *   "22:30-6:15"  to the minute
 *
 * The start is inside, the end is not. A day of UTC has 86,400 seconds in Unix
 * time, so this is arithmetic and needs no calendar.
 */

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const DAY_MS = DAY_MINUTES * MINUTE_MS;

const FORM = /^(\d{1,2})(?::([0-5]\d))?-(\d{1,2})(?::([0-5]\d))?$/;

/** What a window must look like, for the error that refuses another. */
export const WINDOW_FORM = "empty, or two hours of the day that differ, such as 22-6 or 22:30-6:15";

/** A part of every day. */
export class DailyWindow {
  readonly #startMs: number;
  readonly #lengthMs: number;

  constructor(startMs: number, lengthMs: number) {
    this.#startMs = startMs;
    this.#lengthMs = lengthMs;
  }

  isInside(wallMs: number): boolean {
    return this.#sinceStartMs(wallMs) < this.#lengthMs;
  }

  /** The first instant from `wallMs` on that is inside: `wallMs` itself, or the next start. */
  nextStartMs(wallMs: number): number {
    const sinceStartMs = this.#sinceStartMs(wallMs);
    return sinceStartMs < this.#lengthMs ? wallMs : wallMs + DAY_MS - sinceStartMs;
  }

  /** Also before 1970, where a remainder would be negative. */
  #sinceStartMs(wallMs: number): number {
    return (((wallMs - this.#startMs) % DAY_MS) + DAY_MS) % DAY_MS;
  }
}

/** Reads a window; undefined: it is not one. */
export function parseWindow(text: string): DailyWindow | undefined {
  if (text === "") return new DailyWindow(0, DAY_MS);
  const parts = FORM.exec(text);
  if (parts === null) return undefined;
  const start = minuteOf(parts[1], parts[2]);
  const end = minuteOf(parts[3], parts[4]);
  if (start >= DAY_MINUTES || end > DAY_MINUTES || start === end) return undefined;
  const length = end > start ? end - start : end - start + DAY_MINUTES;
  return new DailyWindow(start * MINUTE_MS, length * MINUTE_MS);
}

function minuteOf(hours: string | undefined, minutes = "0"): number {
  return Number(hours) * 60 + Number(minutes);
}
