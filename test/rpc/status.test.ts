/** KvixError to gRPC status and back, over every reason of the catalogue. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Metadata } from "@grpc/grpc-js";
import fc from "fast-check";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { errorCatalogue, type Reason, StatusCode } from "../../src/base/error-catalogue.js";
import { KvixError } from "../../src/base/kvix-error.js";
import type { Log, LogFields } from "../../src/host/host.js";
import { NodeEntropy } from "../../src/host/node-host.js";
import { asKvixError } from "../../src/rpc/bug-report.js";
import {
  type CallStatus,
  fromCallStatus,
  METADATA_LENGTH_MAX,
  RESUME_KEY_BYTES_MAX,
  toCallStatus,
} from "../../src/rpc/status.js";

const reasons = Object.keys(errorCatalogue) as Reason[];
const TRAILER_BYTES_MAX = 8192;

function detailsBytes(status: CallStatus): Buffer {
  const [bytes] = status.metadata.get("grpc-status-details-bin");
  assert.ok(Buffer.isBuffer(bytes));
  return bytes;
}

function rpcStatus(error: KvixError): Status {
  return fromBinary(StatusSchema, detailsBytes(toCallStatus(error)));
}

function unpack(status: Status) {
  const found = status.details.map((any) => ({
    info: anyUnpack(any, ErrorInfoSchema),
    badRequest: anyUnpack(any, BadRequestSchema),
    retryInfo: anyUnpack(any, RetryInfoSchema),
  }));
  return {
    info: found.find(({ info }) => info !== undefined)?.info,
    badRequest: found.find(({ badRequest }) => badRequest !== undefined)?.badRequest,
    retryInfo: found.find(({ retryInfo }) => retryInfo !== undefined)?.retryInfo,
  };
}

test("every reason comes back from its status as it went, with outcome, detail and metadata", () => {
  const text = fc.string({ maxLength: 60 });
  const names = fc.stringMatching(/^[a-z][a-zA-Z0-9]{0,20}$/).filter((name) => name !== "outcome");
  const metadatas = fc.dictionary(names, text, { maxKeys: 8 });
  const outcomes = fc.constantFrom("none", "not-applied", "applied", "unknown", undefined);
  fc.assert(
    fc.property(
      fc.constantFrom(...reasons),
      text,
      metadatas,
      outcomes,
      (reason, detail, metadata, outcome) => {
        const sent = new KvixError(reason, detail, { metadata, ...(outcome && { outcome }) });
        const status = toCallStatus(sent);
        assert.equal(status.code, StatusCode[errorCatalogue[reason].status]);
        const got = fromCallStatus(status);
        assert.ok(got);
        assert.equal(got.reason, reason);
        assert.equal(got.outcome, sent.outcome);
        assert.equal(got.message, sent.message);
        assert.equal(got.retry, sent.retry);
        assert.deepEqual({ ...got.metadata }, { ...metadata });
      },
    ),
    { numRuns: 500 },
  );
});

for (const reason of reasons) {
  test(`${reason} is told as ErrorInfo, with advice that fits the catalogue`, () => {
    const error = new KvixError(reason);
    const status = rpcStatus(error);
    const { info, badRequest, retryInfo } = unpack(status);
    assert.equal(status.code, StatusCode[error.row.status]);
    assert.equal(status.message, error.message);
    assert.equal(info?.reason, reason);
    assert.equal(info?.domain, "kvix");
    assert.equal(info?.metadata["outcome"], error.outcome);
    assert.equal(retryInfo !== undefined, error.row.retry === "after-delay");
    const isAboutAField = ["KEY_EMPTY", "KEY_TOO_LARGE", "VALUE_TOO_LARGE"].includes(reason);
    assert.equal(badRequest !== undefined, isAboutAField);
  });
}

test("a wrong field is named in BadRequest with its range", () => {
  const metadata = { field: "ttl.nanos", range: "from 0 to 9" };
  const { badRequest } = unpack(rpcStatus(new KvixError("FIELD_INVALID", "x", { metadata })));
  assert.equal(badRequest?.fieldViolations.length, 1);
  assert.equal(badRequest?.fieldViolations[0]?.field, "ttl.nanos");
  assert.equal(badRequest?.fieldViolations[0]?.description, "must be from 0 to 9");
});

test("an unknown outcome is never told to retry", () => {
  const error = new KvixError("WRITE_FAILED", "", { outcome: "unknown" });
  assert.equal(unpack(rpcStatus(error)).retryInfo, undefined);
});

test("a status stays below 8 KiB and well-formed whatever the error says (V11)", () => {
  const half = "\ud83d";
  const metadata = Object.fromEntries(
    Array.from({ length: 60 }, (_, index) => [
      `entry${index}`,
      `${half}${"\u{1f600}".repeat(900)}`,
    ]),
  );
  const error = new KvixError("FIELD_INVALID", half.repeat(5000), {
    metadata: { field: "key", range: half.repeat(5000), ...metadata },
  });
  const status = toCallStatus(error);
  assert.ok(detailsBytes(status).byteLength < TRAILER_BYTES_MAX);
  // grpc-js encodes the message with encodeURI, which throws on half a surrogate pair.
  assert.doesNotThrow(() => encodeURI(status.details));
  const range = fromCallStatus(status)?.metadata["range"];
  assert.equal(String(range).length, METADATA_LENGTH_MAX);
});

test("where a stream goes on comes back from its status as it went, and is shown nowhere else (V12)", () => {
  const key = Buffer.from("secret-key");
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: RESUME_KEY_BYTES_MAX }),
      fc.nat(),
      fc.nat(),
      (afterKey, afterVersion, historyFloor) => {
        const resume = { afterKey, afterVersion, historyFloor };
        const got = fromCallStatus(toCallStatus(new KvixError("SNAPSHOT_ENDED", "", { resume })));
        assert.deepEqual(Buffer.from(got?.resume?.afterKey ?? []), Buffer.from(afterKey));
        assert.equal(got?.resume?.afterVersion, afterVersion);
        assert.equal(got?.resume?.historyFloor, historyFloor);
      },
    ),
  );
  const error = new KvixError("SNAPSHOT_ENDED", "late", { resume: { afterKey: key } });
  const own = Object.fromEntries(Object.entries(error));
  const shown = `${error.message} ${inspect(error)} ${JSON.stringify(own)} ${error.stack}`;
  assert.ok(!shown.includes("secret") && !shown.includes(key.join()), shown);
  assert.equal(fromCallStatus(toCallStatus(new KvixError("SNAPSHOT_ENDED")))?.resume, undefined);
});

test("a key that is too long for trailers is left out with its detail, never cut (V11)", () => {
  const text = "\u{1f600}".repeat(900);
  const metadata = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`entry${at}`, text]));
  const withKey = (length: number) => {
    const resume = { afterKey: new Uint8Array(length).fill(7) };
    return toCallStatus(new KvixError("SNAPSHOT_ENDED", text, { metadata, resume }));
  };
  const longest = withKey(RESUME_KEY_BYTES_MAX);
  assert.ok(detailsBytes(longest).byteLength < TRAILER_BYTES_MAX);
  assert.equal(fromCallStatus(longest)?.resume?.afterKey?.length, RESUME_KEY_BYTES_MAX);
  const tooLong = withKey(RESUME_KEY_BYTES_MAX + 1);
  assert.equal(fromCallStatus(tooLong)?.resume, undefined);
  assert.equal(fromCallStatus(tooLong)?.reason, "SNAPSHOT_ENDED");
});

test("a status that is none of kvix's gives no KvixError", () => {
  const bare = { code: 14, details: "gone", metadata: new Metadata() };
  assert.equal(fromCallStatus(bare), undefined);
  const garbage = new Metadata();
  garbage.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff]));
  assert.equal(fromCallStatus({ ...bare, metadata: garbage }), undefined);
});

test("an unforeseen throw is redacted: the client gets an id, the log the id and the frames (V12)", () => {
  const lines: { fields: LogFields; message: string }[] = [];
  const keep = (fields: LogFields, message: string) => lines.push({ fields, message });
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep };
  const thrown = new RangeError("cannot store secret-value\n at the second line");
  const error = asKvixError(thrown, { log, entropy: new NodeEntropy() });
  assert.equal(error.reason, "INTERNAL_BUG");
  assert.equal(lines.length, 1);
  const bugId = String(error.metadata["bugId"]);
  assert.match(bugId, /^[0-9a-f]{16}$/);
  assert.ok(error.message.includes(bugId));
  assert.equal(lines[0]?.fields["bugId"], bugId);
  assert.match(JSON.stringify(lines), /status\.test\.[jt]s/);
  assert.doesNotMatch(JSON.stringify(lines) + JSON.stringify(toCallStatus(error)), /secret/);
});

test("a foreseen error is not logged as a defect", () => {
  const log = { error: () => assert.fail("logged") } as unknown as Log;
  const error = new KvixError("OVERLOADED");
  assert.equal(asKvixError(error, { log, entropy: new NodeEntropy() }), error);
});
