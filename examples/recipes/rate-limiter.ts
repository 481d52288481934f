/** So many requests in each window of time, however many processes count them. */
import type { KeyValueStore } from "kvix";

/** Counts one request of `who`; whether it is among the first `limit` of its window. */
export async function isAllowed(
  kvix: KeyValueStore,
  who: string,
  limit: number,
  windowMs: number,
): Promise<boolean> {
  // A key for each window: its expiry may be pushed on by every count, and ends with it.
  const window = Math.floor(Date.now() / windowMs);
  const { value } = await kvix.increment(`limit:${who}:${window}`, 1, {
    ttlMs: 2 * windowMs,
    // A count is not worth a sync.
    durability: "buffered",
  });
  return value <= limit;
}
