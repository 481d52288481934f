/**
 * Everything that a check of a store can find: what it means, and what to do
 * about it. The table is total, and docs/operations.md is held against it.
 *
 * "damage": bytes that were acknowledged may be gone or unreadable. "note":
 * nothing is lost, and the next opening deals with it.
 */

/** How bad it is. */
export type Severity = "damage" | "note";

/** What is true of every finding of one kind. */
export interface FindingRow {
  readonly severity: Severity;
  readonly meaning: string;
  readonly action: string;
}

const damage = (meaning: string, action: string): FindingRow => ({
  severity: "damage",
  meaning,
  action,
});
const note = (meaning: string, action: string): FindingRow => ({
  severity: "note",
  meaning,
  action,
});

const RESTORE =
  "Check the disk. Restore the records from a backup or write them anew; the store opens without them.";

/** Every kind of finding. */
export const findingCatalogue = {
  MANIFEST_MISSING: damage(
    "there is no manifest, so nothing says which files belong to the store",
    "Restore the directory from a backup, or run kvix repair.",
  ),
  MANIFEST_DAMAGED: damage(
    "the manifest does not read, so nothing says which files belong to the store",
    "Restore the directory from a backup, or run kvix repair.",
  ),
  MANIFEST_OUTDATED: damage(
    "the manifest is older than some of the segments: somebody put back a copy, and it does not name what was written since",
    "Restore the directory as a whole from a backup, or run kvix repair.",
  ),
  STORE_MISMATCH: damage(
    "the segment directory bears the mark of another store",
    "Name the segment directory that goes with the data directory.",
  ),
  MARK_MISSING: note(
    "the segment directory has lost the file STORE that says whose it is",
    "Nothing: the manifest says it too.",
  ),
  SEGMENT_MISSING: damage(
    "a segment of the manifest is not there: all its records are gone",
    RESTORE,
  ),
  SEGMENT_UNREADABLE: damage(
    "the system refuses to read a segment",
    "Look at the system's log for the disk's own error; check owner and permissions.",
  ),
  SEGMENT_SHORT: damage("the end of a segment is gone, with the records in it", RESTORE),
  SEGMENT_LONG: note(
    "bytes follow the end of a sealed segment; they never belonged to the store",
    "Nothing: they are not read.",
  ),
  SEGMENT_CHANGED: damage(
    "every frame of a sealed segment is sound, but together they are not what was sealed",
    "Somebody replaced the file; restore it from a backup.",
  ),
  FRAMES_DAMAGED: damage(
    "bytes do not match their checksum: the records in them cannot be read",
    RESTORE,
  ),
  FRAME_UNKNOWN: damage(
    "a sound frame of a kind that this kvix does not know",
    "Check it with the kvix that wrote it.",
  ),
  DAMAGE_REMEMBERED: damage(
    "the store remembers damage here from an earlier opening",
    "Restore the records from a backup or write them anew, if that was not done yet.",
  ),
  TORN_TAIL: note(
    "the last write was not finished, and nobody was told that it was",
    "Nothing: the next opening cuts it off.",
  ),
  VERSIONS_ODD: damage(
    "versions are not where the manifest says, or not in order",
    "Report it with what kvix inspect shows of the segment.",
  ),
  HINT_MISSING: note(
    "a sealed segment has no hint, so the next opening reads all of it",
    "Nothing: the next opening writes it.",
  ),
  HINT_DAMAGED: note(
    "a hint does not read, or belongs to another segment, so the next opening reads the segment",
    "Nothing: the next opening writes it anew.",
  ),
  HINT_WRONG: damage(
    "a hint reads well but does not say what the segment says",
    "Remove the hint file; the next opening writes it anew.",
  ),
  STRAY_FILE: note("a file that is not the store's", "Nothing: kvix leaves it alone."),
} as const satisfies Readonly<Record<string, FindingRow>>;

/** What can be found. */
export type FindingKind = keyof typeof findingCatalogue;

/** A key in damaged bytes. */
export interface DamagedKey {
  readonly key: Uint8Array;
  readonly version: number;
  /** Whether the damage could be undone in thought; if not, key and version are likely. */
  readonly isCertain: boolean;
}

/** Where something was found, as far as that is known. */
export interface FindingPlace {
  readonly offset?: number;
  readonly length?: number;
  readonly firstVersion?: number;
  readonly lastVersion?: number;
  /** The keys whose records are damaged, at most DAMAGED_KEYS_MAX of them. */
  readonly keys?: readonly DamagedKey[];
  /** Whether there may be other keys than those. */
  readonly keysUnknown?: boolean;
  /** What is particular to this one. */
  readonly detail?: string;
}

/** One finding. */
export interface Finding extends FindingPlace {
  readonly kind: FindingKind;
  /** The file, as a path. */
  readonly file: string;
}

/** How many keys a finding names. */
export const DAMAGED_KEYS_MAX = 1000;

/** How bad a finding is. */
export function severityOf({ kind }: Pick<Finding, "kind">): Severity {
  return findingCatalogue[kind].severity;
}
