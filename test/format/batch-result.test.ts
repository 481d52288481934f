/** What a batch remembers of its answer, and the text of numbers. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BatchResultSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../../src/base/limits.js";
import {
  decodeBatchResult,
  encodeBatchResult,
  type MemberResult,
} from "../../src/format/batch-result.js";
import { encodeNumber, NUMBER_MAX, NUMBER_MIN, parseNumber } from "../../src/format/number-text.js";

const versions = [0, 1, 127, 128, 2 ** 32, VERSION_MAX];
const expiries = [0, 1, 2 ** 31, EXPIRES_AT_MS_MAX];
const values = [0n, 1n, -1n, NUMBER_MIN, NUMBER_MAX];

/** One of each. */
const members: MemberResult[] = versions.flatMap((version) =>
  expiries.flatMap((expiresAtMs) =>
    values.flatMap((value) =>
      [false, true].map((found) => ({ version, expiresAtMs, found, value })),
    ),
  ),
);

test("R4: the result of a batch has one encoding, that of the generated code", () => {
  const bytes = encodeBatchResult(members);
  assert.deepEqual(decodeBatchResult(bytes), members);
  const message = create(BatchResultSchema, {
    members: members.map(({ version, expiresAtMs, found, value }) => {
      return { version: BigInt(version), expiresAtMs: BigInt(expiresAtMs), found, value };
    }),
  });
  assert.deepEqual(Buffer.from(bytes), Buffer.from(toBinary(BatchResultSchema, message)));
  assert.deepEqual(fromBinary(BatchResultSchema, bytes), message);
});

test("R6: no other bytes are a result, whichever bit is flipped and wherever they are cut", () => {
  const bytes = encodeBatchResult(members.slice(0, 40).concat(members.slice(-3)));
  for (let length = 0; length < bytes.length; length += 1) {
    const cut = decodeBatchResult(bytes.subarray(0, length));
    if (cut !== undefined) assert.deepEqual(encodeBatchResult(cut), bytes.slice(0, length));
  }
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const spoilt = bytes.slice();
    spoilt[bit >> 3] = (spoilt[bit >> 3] as number) ^ (1 << (bit & 7));
    const decoded = decodeBatchResult(spoilt);
    // Another result is one, but then these are its bytes.
    if (decoded !== undefined) assert.deepEqual(encodeBatchResult(decoded), spoilt);
  }
  assert.equal(decodeBatchResult(new Uint8Array(0)), undefined);
  const [member] = members as [MemberResult];
  const many = Array.from({ length: 10_001 }, () => member);
  assert.equal(decodeBatchResult(encodeBatchResult(many)), undefined);
});

test("a number has one text, and no other value is one (G-INC-2)", () => {
  for (const number of [0n, 1n, -1n, 10n, 42n, -7n, 2n ** 53n, NUMBER_MIN, NUMBER_MAX]) {
    assert.equal(parseNumber(encodeNumber(number)), number);
  }
  const others = ["", " 1", "1 ", "+1", "-0", "00", "01", "-01", "1.0", "1e3", "0x1", "1_000", "-"];
  const beyond = [NUMBER_MAX + 1n, NUMBER_MIN - 1n, 10n ** 19n].map(String);
  for (const text of [...others, ...beyond, "\u0661", "1\n", "1\0"]) {
    assert.equal(parseNumber(Buffer.from(text)), undefined, JSON.stringify(text));
  }
});
