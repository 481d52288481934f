/**
 * Commit and Increment of KvService: a handler checks the request, asks the store,
 * and answers. An error names the field by its path: `mutations[3].set.ttl`.
 */
import type {
  CommitRequest,
  KvService,
  Mutation as MutationField,
} from "../../gen/kvix/v1/kvix_pb.js";
import { PAGE_BYTES_MAX } from "../base/limits.js";
import { inField } from "../engine/request-rules.js";
import type { KeyCondition, Mutation } from "../engine/store.js";
import { ANSWER_OVERHEAD_BYTES_MAX } from "../rpc/answer-writer.js";
import type { HandlersOf } from "../rpc/calls.js";
import { encodeCommitAnswer, encodeIncrementAnswer } from "./commit-answers.js";
import type { KvServiceContext } from "./kv-context.js";
import { requireReadable } from "./record-size.js";
import {
  fieldInvalid,
  requireCondition,
  requireDurability,
  requireExpiry,
  requireIncrementExpiry,
  requireKey,
  requireRequestId,
  requireTouchExpiry,
  requireValue,
} from "./validation.js";

/** What is added if nobody says. */
const DELTA_DEFAULT = 1n;

/** The handlers of Commit and Increment. */
export function commitHandlers({
  store,
  clock,
  messageBytesMax,
}: KvServiceContext): Pick<HandlersOf<typeof KvService>, "commit" | "increment"> {
  const unmetBytesMax = Math.max(
    Math.min(messageBytesMax, PAGE_BYTES_MAX) - ANSWER_OVERHEAD_BYTES_MAX,
    0,
  );
  return {
    increment: async (request, context) => {
      const { key, delta = DELTA_DEFAULT, initial } = request;
      const result = await store.increment(requireKey(key), delta, {
        initial,
        expiry: requireIncrementExpiry(request.expiry, clock.wallMs()),
        durability: requireDurability(request.durability),
        requestId: requireRequestId(request.requestId),
        signal: context.signal,
      });
      return encodeIncrementAnswer(result, store.version);
    },

    commit: async (request, context) => {
      const nowMs = clock.wallMs();
      const mutations = request.mutations.map((mutation, index) => {
        return requireMutation(mutation, index, nowMs, messageBytesMax);
      });
      const result = await store.commit(mutations, {
        conditions: requireConditions(request),
        durability: requireDurability(request.durability),
        requestId: requireRequestId(request.requestId),
        unmetBytesMax,
        signal: context.signal,
      });
      return encodeCommitAnswer(result, store.version);
    },
  };
}

function requireConditions({ conditions }: CommitRequest): KeyCondition[] {
  return conditions.map(({ key, precondition }, index) =>
    inField(`conditions[${index}].`, () => {
      const condition = requireCondition(precondition);
      if (condition !== undefined) return { key: requireKey(key), condition };
      throw fieldInvalid("precondition", "one of absent, present and version");
    }),
  );
}

function requireMutation(
  { mutation }: MutationField,
  index: number,
  nowMs: number,
  messageBytesMax: number,
): Mutation {
  if (mutation.case === undefined) {
    throw fieldInvalid(`mutations[${index}].mutation`, "one of set, delete, touch and increment");
  }
  return inField(`mutations[${index}].${mutation.case}.`, () => {
    const kind = mutation.case;
    const key = requireKey(mutation.value.key);
    switch (kind) {
      case "set": {
        const value = requireValue(mutation.value.value);
        const expiry = requireExpiry(mutation.value.expiry, nowMs);
        requireReadable(key, value, messageBytesMax);
        return { kind, key, value, expiry };
      }
      case "delete":
        return { kind, key };
      case "touch":
        return { kind, key, expiry: requireTouchExpiry(mutation.value.expiry, nowMs) };
      case "increment": {
        const { delta = DELTA_DEFAULT, initial } = mutation.value;
        const expiry = requireIncrementExpiry(mutation.value.expiry, nowMs);
        return { kind, key, delta, initial, expiry };
      }
    }
  });
}
