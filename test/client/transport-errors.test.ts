/** What the transport refuses, as a client tells of it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import { connect, KvixError } from "../../src/client/connect.js";
import { asClientError } from "../../src/rpc/transport-error.js";
import { refusal } from "../conformance/suite.js";
import { startMemoryServer } from "../service/memory-server.js";

const MIB = 1_048_576;
const timeout = 60_000;

async function pair(t: TestContext) {
  const { address, client: wire } = await startMemoryServer(t);
  const kvix = connect({ address, messageBytesMax: MIB });
  t.after(() => kvix.close());
  return { kvix, wire, address };
}

test("a message beyond the limit is MESSAGE_TOO_LARGE, be it the request or the answer (G-CLIENT-5)", {
  timeout,
}, async (t) => {
  const { kvix, address } = await pair(t);
  const sent = await refusal(kvix.set("k", new Uint8Array(2 * MIB)), "MESSAGE_TOO_LARGE");
  assert.equal(sent.retry, "never");
  await using large = connect({ address });
  await large.set("k", new Uint8Array(2 * MIB));
  for (const batching of [true, false]) {
    await using small = connect({ address, messageBytesMax: MIB, batching, timeoutMs: 5000 });
    const got = await refusal(small.get("k"), "MESSAGE_TOO_LARGE");
    assert.equal(got.outcome, "none");
  }
  assert.equal((await kvix.download("k"))?.valueBytes, 2 * MIB);
});

test("what is no kvix, or none that knows the call, is NOT_UNDERSTOOD", () => {
  const metadata = new Metadata();
  const error = (code: number, details: string) =>
    Object.assign(new Error(details), { code, details, metadata });
  const cases = [
    [error(status.UNIMPLEMENTED, "unknown service"), "NOT_UNDERSTOOD", "unknown"],
    [error(status.INTERNAL, "bad gateway"), "NOT_UNDERSTOOD", "unknown"],
    [new TypeError("not of grpc-js"), "NOT_UNDERSTOOD", "unknown"],
    [error(status.UNAVAILABLE, "Connection dropped"), "CONNECTION_LOST", "unknown"],
    [error(status.UNAVAILABLE, "upstream: ECONNREFUSED"), "CONNECTION_LOST", "unknown"],
    [error(status.UNAVAILABLE, "No connection established. Last"), "UNREACHABLE", "not-applied"],
    [error(status.UNAVAILABLE, "Name resolution failed for"), "UNREACHABLE", "not-applied"],
    [error(status.DEADLINE_EXCEEDED, "Deadline exceeded"), "DEADLINE_PASSED", "unknown"],
    [
      error(status.DEADLINE_EXCEEDED, "Deadline exceeded after 1s,Waiting for LB pick"),
      ...(["DEADLINE_PASSED", "not-applied"] as const),
    ],
    [error(status.CANCELLED, "Cancelled on client"), "CANCELLED", "unknown"],
  ] as const;
  for (const [cause, reason, outcome] of cases) {
    const told = asClientError(cause, false);
    assert.deepEqual([told.reason, told.outcome], [reason, outcome], cause.message);
    assert.equal(asClientError(cause, true).outcome, "none");
  }
  const own = new KvixError("NO_SPACE");
  assert.equal(asClientError(own, true), own);
});
