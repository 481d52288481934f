/** What `kvix commit` prints of its answer: a line for each mutation, or one JSON object. */
import type { CommitResponse, MutationResult, UnmetCondition } from "../../gen/kvix/v1/kvix_pb.js";
import { jsonBytes, previewBytes } from "./byte-text.js";
import type { CommitFile, ReadMutation } from "./commit-file.js";
import { jsonInt64 } from "./quantity.js";
import { jsonExpiry, jsonRecord, showExpiry } from "./record-text.js";

/** How many unmet conditions a sentence names, and how much of a key. */
const NAMED_MAX = 5;
const KEY_LENGTH_MAX = 80;

/** The lines of what was done. */
export function doneText({ mutations }: CommitFile, { results }: CommitResponse): string {
  if (mutations.length === 0) return "all conditions hold\n";
  return mutations
    .map((each, at) => {
      const result = results[at];
      return result === undefined ? "" : `${resultLine(each, result)}\n`;
    })
    .join("");
}

function resultLine({ op, key }: ReadMutation, result: MutationResult): string {
  const name = previewBytes(key, "text", KEY_LENGTH_MAX);
  const { version, found, value, expireTime } = result;
  const expiry = showExpiry(expireTime);
  switch (op) {
    case "set":
      return `set ${name} version ${version}${expiry}`;
    case "increment":
      return `incremented ${name} to ${value} version ${version}${expiry}`;
    case "delete":
      return found ? `deleted ${name} version ${version}` : `no such key: ${name}`;
    case "touch":
      return found ? `touched ${name} version ${version}${expiry}` : `no such key: ${name}`;
  }
}

/** One sentence on the conditions that do not hold. */
export function unmetText({ conditions }: CommitFile, { unmet }: CommitResponse): string {
  const told = unmet.slice(0, NAMED_MAX).map((each) => {
    const key = conditions[each.index]?.key ?? new Uint8Array(0);
    return `${previewBytes(key, "text", KEY_LENGTH_MAX)} ${standing(each)}`;
  });
  const more = unmet.length - told.length;
  const others = more > 0 ? `; and ${more} more` : "";
  return `not applied, a condition does not hold: ${told.join("; ")}${others}`;
}

function standing({ current, valueOmitted }: UnmetCondition): string {
  if (current === undefined) return valueOmitted ? "is there" : "is absent";
  return `has version ${current.version}${showExpiry(current.expireTime)}`;
}

/** The answer as a JSON object. */
export function jsonCommit(
  { conditions, mutations }: CommitFile,
  answer: CommitResponse,
): Readonly<Record<string, unknown>> {
  const { applied, repeated, results, unmet, storeVersion } = answer;
  return {
    applied,
    repeated,
    results: results.map((result, at) => jsonResult(mutations[at], result)),
    ...(!applied && {
      unmet: unmet.map((each) => jsonUnmet(conditions[each.index]?.key, each)),
    }),
    storeVersion: Number(storeVersion),
  };
}

function jsonResult(
  mutation: ReadMutation | undefined,
  { version, found, value, expireTime }: MutationResult,
): Readonly<Record<string, unknown>> {
  const op = mutation?.op;
  return {
    op,
    ...(mutation && jsonBytes("key", mutation.key, "text")),
    ...(version > 0n && { version: Number(version) }),
    ...((op === "delete" || op === "touch") && { found }),
    ...(op === "increment" && { value: jsonInt64(value) }),
    ...jsonExpiry(expireTime),
  };
}

function jsonUnmet(
  key: Uint8Array | undefined,
  { index, current, valueOmitted, recordBytes }: UnmetCondition,
): Readonly<Record<string, unknown>> {
  return {
    index,
    ...(key && jsonBytes("key", key, "text")),
    ...(current && { current: jsonRecord(current, "text", !valueOmitted) }),
    ...((current !== undefined || valueOmitted) && { valueOmitted, recordBytes }),
  };
}
