/** What a call is refused with. */
import assert from "node:assert/strict";
import type { Reason } from "../../src/base/error-catalogue.js";
import { KvixError } from "../../src/base/kvix-error.js";

/** The KvixError that a call ends with; of this reason and about this field, if they are given. */
export async function refusal(
  call: Promise<unknown>,
  reason?: Reason,
  field?: string,
): Promise<KvixError> {
  const error: unknown = await call.then(
    () => assert.fail("the call was answered"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KvixError, String(error));
  if (reason !== undefined) assert.equal(error.reason, reason, error.message);
  if (field !== undefined) assert.equal(error.metadata["field"], field, error.message);
  return error;
}
