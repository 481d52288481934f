/**
 * What kvix is held to: the invariants of its design (V) and the properties of a store
 * of its kind (D to P). A test that checks one carries its id in its name; an instrument
 * of the lab names those it can find a break of. docs/testing.md shows all of it in one
 * table, and test/tidy holds table, tests and instruments together.
 */

/** The groups of ids, in the order of the document. */
export const propertyGroups = {
  V: "Invariants",
  D: "Durability",
  R: "Recovery",
  M: "Compaction",
  I: "Index",
  T: "Time",
  B: "Batches",
  P: "Processes",
} as const;

/** Each id with its sentence. */
export const properties = {
  V1: "Acknowledged means durable as the policy promises. SYNC: fdatasync has returned for the data and, when a file is new, its directory has been synced.",
  V2: "The index points only at complete, verified frames.",
  V3: "Sealed segments never change.",
  V4: "One process per data directory; a killed one frees it at once.",
  V5: "The highest version wins; clocks never decide.",
  V6: "A tombstone, and an expired record, outlives everything it hides.",
  V7: "Compaction is invisible to readers.",
  V8: "Recovery is a function of the bytes and can itself be interrupted anywhere.",
  V9: "Unknown files survive; newer formats are refused.",
  V10: "After a failed sync nothing more is acknowledged until a restart; reads go on.",
  V11: "Every queue, buffer, stream and loop has a bound.",
  V12: "Keys and values never reach a log or an error message.",
  V13: "Rot is DATA_LOSS for its own key, never a miss. One fault, in the data or in the hint, never gives an older value. Where damage hides which key it was, the store opens degraded and says file, bytes and version range, or refuses under strict recovery.",
  V14: "Publication is a prefix of version order and precedes the answer. A SYNC write is visible to nobody before its sync has returned.",
  V15: "Versions are never used twice, whatever was lost.",
  V16: "What is durable stays reachable until what replaces it is durable.",
  D1: "An acknowledged SYNC write survives power loss: fdatasync of the segment has returned before the answer.",
  D2: "A new file is found after power loss: its directory is synced before the first acknowledgement that needs it, and after every rename and removal that recovery depends on.",
  D3: "A failed sync is final: nothing more is acknowledged, and no sync is tried again.",
  D4: "Concurrent SYNC writes share syncs; each is acknowledged only after its own bytes are synced. If B was acknowledged after A and B is durable, so is A.",
  D5: "A close syncs everything; the next open is no recovery.",
  D6: "A short write, ENOSPC, EIO or EFBIG fails its write only: the tail is cut before any later append, what was acknowledged stays readable, the index is unchanged, and service goes on.",
  R1: "Cut the active segment at any byte: the store opens with exactly the records that lie wholly before the cut.",
  R2: "Only the active segment can be torn, only after its last BARRIER frame, and never below the length that a clean close recorded. Damage elsewhere is reported and its bytes are kept.",
  R3: "A flipped bit in any byte of a frame is reported, every other record stays readable, and no deleted, expired or overwritten version comes back.",
  R4: "Reading a damaged record is DATA_LOSS, never a miss; one fault never gives an older value.",
  R5: "The checksum covers size, version, timestamp and payload; any flip in a header is caught; zeros at the end of a file are an end, not frames.",
  R6: "An absurd length is checked against the file before anything is allocated.",
  R7: "A hint that is missing, cut, damaged, of other data or of another segment changes the time an open takes and nothing else; and so does a checkpoint.",
  R8: "Recovery can be interrupted anywhere and repeated, with the same result.",
  R9: "Files that are not the store's neither stop an open nor are they removed.",
  R10: "A record or segment of an unknown version is refused, never skipped.",
  R11: "Opening a healthy store writes to no sealed segment; a failed open gives its locks back and can be repeated.",
  M1: "What was deleted stays deleted, for every history, choice of victims and crash.",
  M2: "What has expired stays expired, in the same way, also where a lifetime was shortened or removed by an overwrite.",
  M3: "The newest version wins: a record that was moved never beats a write made meanwhile.",
  M4: "Moving a record keeps its bytes, its expiry and its version.",
  M5: "What replaces a segment is durable before the segment goes, by one atomic change that can be repeated after a crash.",
  M6: "Tombstones are reclaimed: delete everything, compact, and disk and index are close to empty.",
  M7: "Compaction without writes comes to an end.",
  M8: "Compaction takes no more extra space than the live bytes of its victims and one segment, and declines where there is less.",
  M9: "The active segment is never a victim.",
  M10: "Reads during compaction do not fail; an iterator keeps its snapshot; one that is stuck does not hold up others for ever.",
  M11: "No file descriptor leaks, and running out of them ends a compaction cleanly.",
  M12: "A segment that could not be read wholly is never removed.",
  M13: "Cancelling a compaction, or closing during one, is prompt and leaves nothing that the next open does not remove.",
  M14: "Compaction keeps to its byte rate and leaves the latency of other calls within a stated factor.",
  I1: "Of two writes in the same millisecond the second wins, also after a reopen.",
  I2: "With the clock stepped back between two writes the later write wins, segments stay in order, and nothing expires early or twice.",
  I3: "A segment id returns to use only when nothing names it any more; 65,536 live segments are the limit; ids order as numbers.",
  I4: "More than 16,777,216 keys work, and so does every offset up to 2^32 - 1.",
  I5: "Keys are bytes, compared exactly: 1 byte to the limit, NUL and 0xff and invalid UTF-8 included; the empty key and one byte too many are refused.",
  I6: "Values are bytes: empty, of the limit, larger than a segment, or equal to a record's own encoding; one byte too many is refused before anything is written.",
  I7: "100,000 keys with equal hashes stay correct.",
  I8: "The figures of keys and bytes are exact, and the same after a reopen.",
  I9: "A listing is one point in time: nothing deleted or expired, each live key once.",
  T1: "A record is visible before its expiry and invisible from it on, for every call alike.",
  T2: "An overwrite without an expiry clears the old one.",
  T3: "A key that was deleted and written again has no trace of its old expiry.",
  T4: "A ttl of zero or less is refused; a ttl or an expiry beyond the year 9999 is refused; an expiry in the past is accepted and the record invisible at once.",
  T5: "A record whose expiry passed while the store was down is expired on open, and still hides what it replaced.",
  T6: "One jump of the clock destroys nothing.",
  T7: "A segment is dropped as a whole only if every record in it is known to have expired.",
  T8: "Expiry frees index memory without a read of each key.",
  B1: "A batch is applied wholly or not at all, cut at any byte, across the end of a segment, and after a compaction moved some of its members.",
  B2: "No reader sees half a batch.",
  B3: "A batch that was refused is never applied later.",
  P1: "A second opener is refused at once; a killed holder frees the lock; what the lock file contains does not matter.",
  P2: "SIGTERM drains and syncs.",
  P3: "A write that was cancelled, or that ran out of time, has an unknown outcome, but is never half applied.",
  P4: "A value near the message limit has a defined answer.",
  P5: "Opening without writing changes nothing.",
  P6: "A backup taken while the store is written to opens to a state that existed.",
  P7: "A full disk and damaged bytes have statuses of their own.",
} as const;

export type PropertyId = keyof typeof properties;

/** Ids that no test can check yet, each with what it waits for. */
export const openProperties: Readonly<Partial<Record<PropertyId, string>>> = {
  P6: "there is no backup yet",
};

/** The ids in a text, blanks between them. Throws if one is not in the table. */
export function propertyIds(text: string): PropertyId[] {
  return text.split(" ").map((id) => {
    if (!(id in properties)) throw new TypeError(`no property is called ${id}`);
    return id as PropertyId;
  });
}
