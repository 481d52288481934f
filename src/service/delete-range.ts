/** DeleteRange: the request checked, and its answer. */
import { create } from "@bufbuild/protobuf";
import {
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  DeleteRangeResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { RANGE_DELETES_MAX } from "../base/limits.js";
import type { Store } from "../engine/store.js";
import type { CallContext } from "../rpc/calls.js";
import { fieldInvalid, requireDurability } from "./validation.js";

/** Answers a DeleteRange. */
export async function deleteRange(
  store: Store,
  request: DeleteRangeRequest,
  { signal }: CallContext,
): Promise<DeleteRangeResponse> {
  const { prefix, start, end, all, dryRun, limit } = request;
  if (limit < 0 || limit > RANGE_DELETES_MAX) {
    throw fieldInvalid("limit", `from 0 to ${RANGE_DELETES_MAX}`);
  }
  const { count, more } = await store.deleteRange({
    prefix,
    start,
    end,
    all,
    dryRun,
    limit: limit === 0 ? RANGE_DELETES_MAX : limit,
    durability: requireDurability(request.durability),
    signal,
  });
  return create(DeleteRangeResponseSchema, { count, more, storeVersion: BigInt(store.version) });
}
