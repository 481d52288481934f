/**
 * What `kvix commit` reads: conditions and mutations, each a JSON object, one a line or
 * all in one array.
 *
 *     {"op": "if", "key": "a", "version": 17}           or "absent": true, "present": true
 *     {"op": "set", "key": "a", "value": "1", "ttl": "90s"}
 *     {"op": "delete", "key": "b"}
 *     {"op": "touch", "key": "c", "expireTime": "2027-01-31T12:00:00Z"}
 *     {"op": "increment", "key": "n", "delta": -5, "initial": 100}
 *
 * Keys and values are those of what the command prints: `key`, or `keyHex`, or
 * `keyBase64`. An expiry is `ttl`, `expireTime`, `persist` (touch, increment) or
 * `keepTtl` (set). A field that is none is a fault, for a name that is misspelt would
 * change what is written; faults are told by their line, or their place in the array.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CommitConditionSchema, MutationSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { BATCH_MUTATIONS_MAX } from "../base/limits.js";
import { type CommitFields, fieldsOf, type MutationOp } from "./commit-fields.js";
import { UsageError, type UsageFault } from "./usage-error.js";

type ConditionInit = MessageInitShape<typeof CommitConditionSchema> & { readonly key: Uint8Array };
type MutationInit = MessageInitShape<typeof MutationSchema>;

/** A mutation, beside what is printed of it. */
export interface ReadMutation {
  readonly op: MutationOp;
  readonly key: Uint8Array;
  readonly mutation: MutationInit;
}

/** A file, read. */
export interface CommitFile {
  readonly conditions: readonly ConditionInit[];
  readonly mutations: readonly ReadMutation[];
}

/** So many faults are told; a file in which all is wrong would tell no more by thousands. */
const FAULTS_MAX = 20;

/** Reads a file; throws a UsageError that names the places. */
export function parseCommitFile(text: string): CommitFile {
  const conditions: ConditionInit[] = [];
  const mutations: ReadMutation[] = [];
  const faults: UsageFault[] = [];
  for (const { place, value } of objectsIn(text)) {
    try {
      const fields = fieldsOf(place, value);
      const op = fields.op();
      if (op === "if") conditions.push(readCondition(fields));
      else mutations.push(readMutation(op, fields));
      fields.end();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      faults.push(...error.faults);
      if (faults.length >= FAULTS_MAX) break;
    }
  }
  if (faults.length === 0) faults.push(...sizeFaults(conditions.length, mutations.length));
  if (faults.length > 0) throw new UsageError(faults.slice(0, FAULTS_MAX));
  return { conditions, mutations };
}

/** The objects of the text with their places; one that is no JSON throws. */
function* objectsIn(text: string): Generator<{ place: string; value: unknown }> {
  if (text.trimStart().startsWith("[")) {
    const values = parseJson(text, "the input");
    if (!Array.isArray(values)) return;
    for (const [at, value] of values.entries()) yield { place: `[${at}]`, value };
    return;
  }
  let number = 0;
  for (let begin = 0; begin < text.length; ) {
    const feed = text.indexOf("\n", begin);
    const end = feed === -1 ? text.length : feed;
    const line = text.slice(begin, end).trim();
    number += 1;
    begin = end + 1;
    if (line !== "") yield { place: `line ${number}`, value: parseJson(line, `line ${number}`) };
  }
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError([{ option: place, problem: `is no JSON: ${why}` }]);
  }
}

function sizeFaults(conditions: number, mutations: number): UsageFault[] {
  const faults: UsageFault[] = [];
  if (conditions + mutations === 0) {
    faults.push({
      option: "the input",
      problem: "is empty; it must have a condition or a mutation",
    });
  }
  for (const [what, count] of Object.entries({ conditions, mutations })) {
    if (count <= BATCH_MUTATIONS_MAX) continue;
    const problem = `has ${count} ${what}; a commit has at most ${BATCH_MUTATIONS_MAX}`;
    faults.push({ option: "the input", problem });
  }
  return faults;
}

function readCondition(fields: CommitFields): ConditionInit {
  return { key: fields.key(), precondition: { condition: fields.condition() } };
}

function readMutation(op: MutationOp, fields: CommitFields): ReadMutation {
  const key = fields.key();
  return { op, key, mutation: { mutation: mutationOf(op, key, fields) } };
}

function mutationOf(
  op: MutationOp,
  key: Uint8Array,
  fields: CommitFields,
): NonNullable<MutationInit["mutation"]> {
  switch (op) {
    case "set": {
      const expiry = fields.expiry("keepTtl");
      return { case: op, value: { key, value: fields.value(), ...(expiry && { expiry }) } };
    }
    case "delete":
      return { case: op, value: { key } };
    case "touch":
      return { case: op, value: { key, expiry: fields.touchExpiry() } };
    case "increment": {
      const expiry = fields.expiry("persist");
      const delta = fields.number("delta", 1n);
      const initial = fields.number("initial", 0n);
      return { case: op, value: { key, delta, initial, ...(expiry && { expiry }) } };
    }
  }
}
