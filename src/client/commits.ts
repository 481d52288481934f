/**
 * Commits and increments over the wire. Each bears a request id, drawn at random
 * unless the caller gives one, so that it may be sent again when its outcome is
 * unknown: the server answers a repeat as it answered the first.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { KvService, type MutationSchema, type UnmetCondition } from "../../gen/kvix/v1/kvix_pb.js";
import { REQUEST_ID_BYTES_MAX, REQUEST_ID_BYTES_MIN } from "../base/limits.js";
import {
  type CommitOptions,
  type CommitResult,
  commitConditionOf,
  type IncrementOptions,
  type IncrementResult,
  int64Of,
  type Mutation,
} from "../kv/commits.js";
import { bytesOf, dateOf } from "../kv/data.js";
import type { ListedRecord } from "../kv/records.js";
import { changedExpiryOf, expiryOf, touchExpiryOf } from "../kv/writes.js";
import { listedOf, msOf } from "./answers.js";
import type { ClientCallOptions, Connection } from "./connection.js";
import {
  durabilityField,
  invalid,
  preconditionField,
  setExpiryField,
  touchExpiryField,
} from "./requests.js";

const kv = KvService.method;
/** As long as a UUID; 16 to 64 are allowed. */
const REQUEST_ID_BYTES = 16;

/** Makes changes together. */
export async function commit(
  connection: Connection,
  mutations: readonly Mutation[],
  options: CommitOptions & ClientCallOptions,
): Promise<CommitResult> {
  const { conditions = [], durability, requestId } = options;
  const request = {
    conditions: conditions.map((condition) => {
      commitConditionOf(condition);
      const precondition = preconditionField(condition);
      return { key: bytesOf(condition.key), ...(precondition !== undefined && { precondition }) };
    }),
    mutations: mutations.map(mutationField),
    durability: durabilityField(durability),
    requestId: requestIdField(requestId, connection),
  };
  const answer = await connection.operate("commit", kv.commit, request, "named", options);
  return {
    applied: answer.applied,
    results: answer.results.map(({ version, expireTime, found, value }) => ({
      version: Number(version),
      expireTime: dateOf(msOf(expireTime)),
      found,
      value,
    })),
    unmet: answer.unmet.map((unmet) => ({ index: unmet.index, current: standingOf(unmet) })),
    repeated: answer.repeated,
  };
}

/** Adds to a number. */
export async function increment(
  connection: Connection,
  key: Uint8Array,
  delta: number | bigint,
  options: IncrementOptions & ClientCallOptions,
): Promise<IncrementResult> {
  const { initial = 0, durability, requestId } = options;
  const request = {
    key,
    delta: int64Of(delta, "delta"),
    initial: int64Of(initial, "initial"),
    expiry: touchExpiryField(changedExpiryOf(options)),
    durability: durabilityField(durability),
    requestId: requestIdField(requestId, connection),
  };
  const answer = await connection.operate("increment", kv.increment, request, "named", options);
  return {
    value: answer.value,
    version: Number(answer.version),
    expireTime: dateOf(msOf(answer.expireTime)),
    repeated: answer.repeated,
  };
}

/**
 * An id of its own memory: the caller may use his again before the request is sent
 * again. One of no length would be none on the wire, and a repeat another request.
 */
function requestIdField(given: Uint8Array | undefined, { host }: Connection): Uint8Array {
  if (given === undefined) return host.entropy.bytes(REQUEST_ID_BYTES);
  if (given.length < REQUEST_ID_BYTES_MIN || given.length > REQUEST_ID_BYTES_MAX) {
    const range = `${REQUEST_ID_BYTES_MIN} to ${REQUEST_ID_BYTES_MAX} bytes, or left out`;
    throw invalid("request_id", range);
  }
  return new Uint8Array(given);
}

function standingOf({
  current,
  valueOmitted,
  recordBytes,
}: UnmetCondition): ListedRecord | undefined {
  if (current === undefined) return undefined;
  return listedOf({ record: current, valueOmitted, recordBytes, unreadable: false });
}

function mutationField(mutation: Mutation): MessageInitShape<typeof MutationSchema> {
  const key = bytesOf(mutation.key);
  switch (mutation.kind) {
    case "set": {
      const value = bytesOf(mutation.value, "value");
      const expiry = setExpiryField(expiryOf(mutation));
      return { mutation: { case: "set", value: { key, value, expiry } } };
    }
    case "delete":
      return { mutation: { case: "delete", value: { key } } };
    case "touch": {
      const expiry = touchExpiryField(touchExpiryOf(mutation));
      return { mutation: { case: "touch", value: { key, expiry } } };
    }
    case "increment": {
      const delta = int64Of(mutation.delta ?? 1, "delta");
      const initial = int64Of(mutation.initial ?? 0, "initial");
      const expiry = touchExpiryField(changedExpiryOf(mutation));
      return { mutation: { case: "increment", value: { key, delta, initial, expiry } } };
    }
  }
}
