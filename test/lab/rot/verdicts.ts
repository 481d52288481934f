/**
 * The stated verdicts: what an opening makes of each kind of damage, file by file.
 * The instrument holds every case to them, and docs/testing.md shows this table.
 *
 * A statement is for one fault in a store that is otherwise sound. Which of its
 * verdicts a case gets follows from the place of the damage; rot-judge.ts knows.
 */
import { type Damage, type DamageKind, damageKinds, type FileKind } from "./damage.js";
import type { RotMode } from "./rot-store.js";

/** What an opening comes to, from the best to the worst. */
export const verdicts = {
  everything: "opens, and every record is there",
  lost: "opens; what was hit is DATA_LOSS, all else is there, nothing is older than it was",
  told: "opens degraded; what was hit is DATA_LOSS, or its key is unknown and file, bytes and versions are told: such a key shows what it was before",
  torn: "opens without what an unfinished write may have been: from the first damaged frame on, if no sound BARRIER frame follows",
  MANIFEST_DAMAGED: "refused, nothing changed; `kvix repair` brings every record back",
  FORMAT_TOO_NEW: "refused, nothing changed: a later kvix has written it",
  STORE_MISMATCH: "refused, nothing changed: the directories belong to different stores",
} as const;
export type Verdict = keyof typeof verdicts;

/** What is so of some damages of a kind of file. */
export interface Statement {
  readonly files: readonly FileKind[];
  /** In which stores; left out: in all. */
  readonly modes?: readonly RotMode[];
  /** Left out: all that no statement before names. */
  readonly damages?: readonly DamageKind[];
  readonly verdicts: readonly Verdict[];
  /** What `kvix verify` says. */
  readonly verify: string;
}

const appended: readonly DamageKind[] = ["zeros appended", "garbage appended"];
const later: readonly DamageKind[] = ["of a later format"];
const sealed: readonly FileKind[] = ["sealed segment", "compacted segment"];
const active: readonly FileKind[] = ["active segment"];
const inPlace: readonly DamageKind[] = [
  "bit flipped",
  "page zeroed",
  "pages swapped",
  "pages swapped with another file",
];
const FRAMES = "FRAMES_DAMAGED, SEGMENT_SHORT, SEGMENT_MISSING or SEGMENT_CHANGED";
const FRAMES_OR_LATER = FRAMES.replace(" or", ", FRAME_UNKNOWN or");

/** The first statement that fits counts. */
export const statements: readonly Statement[] = [
  { files: sealed, damages: appended, verdicts: ["everything"], verify: "SEGMENT_LONG, a note" },
  {
    files: sealed,
    modes: ["checkpoint", "hints", "killed"],
    verdicts: ["everything", "lost"],
    verify: FRAMES_OR_LATER,
  },
  {
    files: sealed,
    modes: ["bare", "killed bare"],
    damages: later,
    verdicts: ["FORMAT_TOO_NEW"],
    verify: "FRAME_UNKNOWN",
  },
  {
    files: sealed,
    modes: ["bare", "killed bare"],
    damages: ["bit flipped"],
    verdicts: ["lost"],
    verify: FRAMES,
  },
  {
    files: sealed,
    modes: ["bare", "killed bare"],
    verdicts: ["lost", "told"],
    verify: FRAMES,
  },
  {
    files: active,
    damages: appended,
    verdicts: ["everything"],
    verify: "TORN_TAIL, a note",
  },
  {
    files: active,
    modes: ["checkpoint"],
    damages: [...inPlace, ...later],
    verdicts: ["everything", "lost"],
    verify: FRAMES_OR_LATER,
  },
  {
    files: active,
    damages: later,
    verdicts: ["FORMAT_TOO_NEW"],
    verify: "FRAME_UNKNOWN",
  },
  {
    files: active,
    modes: ["hints", "bare"],
    damages: ["bit flipped"],
    verdicts: ["lost"],
    verify: FRAMES,
  },
  {
    files: active,
    modes: ["checkpoint", "hints", "bare"],
    verdicts: ["lost", "told"],
    verify: FRAMES,
  },
  {
    files: active,
    modes: ["killed", "killed bare"],
    damages: ["bit flipped"],
    verdicts: ["lost", "torn"],
    verify: "FRAMES_DAMAGED, or TORN_TAIL, a note",
  },
  {
    files: active,
    modes: ["killed", "killed bare"],
    damages: ["cut", "emptied", "older copy"],
    verdicts: ["torn"],
    verify: "TORN_TAIL, a note, or nothing where the cut is between two frames",
  },
  {
    files: active,
    modes: ["killed", "killed bare"],
    damages: ["missing"],
    verdicts: ["told"],
    verify: "SEGMENT_MISSING",
  },
  {
    files: active,
    modes: ["killed", "killed bare"],
    verdicts: ["lost", "told", "torn"],
    verify: "FRAMES_DAMAGED, or TORN_TAIL, a note",
  },
  {
    files: ["hint"],
    verdicts: ["everything"],
    verify: "HINT_MISSING or HINT_DAMAGED, a note",
  },
  {
    files: ["manifest"],
    damages: later,
    verdicts: ["FORMAT_TOO_NEW"],
    verify: "FORMAT_TOO_NEW",
  },
  {
    files: ["manifest"],
    damages: ["older copy", "exchanged with another"],
    verdicts: ["everything", "MANIFEST_DAMAGED"],
    verify: "MANIFEST_OUTDATED where segments are younger than it",
  },
  {
    files: ["manifest", "mark"],
    damages: ["another's bytes"],
    verdicts: ["STORE_MISMATCH"],
    verify: "STORE_MISMATCH",
  },
  {
    files: ["manifest"],
    verdicts: ["MANIFEST_DAMAGED"],
    verify: "MANIFEST_DAMAGED or MANIFEST_MISSING",
  },
  { files: ["mark"], verdicts: ["everything"], verify: "MARK_MISSING, a note" },
  {
    files: ["manifest before", "checkpoint", "lock", "reserve", "temporary file"],
    verdicts: ["everything"],
    verify: "nothing: no record depends on it",
  },
  { files: ["strange file"], verdicts: ["everything"], verify: "STRAY_FILE, a note" },
];

/** What is stated of a damage; of one that touches two files, of both. */
export function statedFor({ touched, kind }: Damage, mode: RotMode): ReadonlySet<Verdict> {
  return new Set(touched.flatMap((file) => statementFor(file, kind, mode).verdicts));
}

function statementFor(file: FileKind, damage: DamageKind, mode: RotMode): Statement {
  const found = statements.find(
    ({ files, damages = damageKinds, modes }) =>
      files.includes(file) && damages.includes(damage) && (modes?.includes(mode) ?? true),
  );
  if (found === undefined) throw new TypeError(`nothing is stated of ${file}, ${damage}, ${mode}`);
  return found;
}

const conditions: ReadonlyMap<string, string> = new Map([
  ["checkpoint,hints,killed", "its hint is there"],
  ["bare,killed bare", "its hint is not"],
  ["checkpoint", "closed, checkpoint there"],
  ["hints,bare", "closed, no checkpoint"],
  ["checkpoint,hints,bare", "closed"],
  ["killed,killed bare", "killed"],
]);

/** The table of the document, as lines of Markdown. */
export function rotTable(): string[] {
  const lines = ["| file | store | damage | verdict | `kvix verify` |", "|---|---|---|---|---|"];
  for (const { files, modes, damages, verdicts: named, verify } of statements) {
    const store = modes === undefined ? "any" : conditions.get(modes.join(","));
    if (store === undefined) throw new TypeError(`no words for ${modes?.join(",")}`);
    const what = damages === undefined ? "any other" : damages.join(", ");
    lines.push(`| ${files.join(", ")} | ${store} | ${what} | ${named.join(", ")} | ${verify} |`);
  }
  lines.push("", "| verdict | meaning |", "|---|---|");
  for (const [name, meaning] of Object.entries(verdicts)) lines.push(`| ${name} | ${meaning} |`);
  return lines;
}
