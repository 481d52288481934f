/** What the services refuse: every field of every rpc, wrong in every way, named with its range. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import {
  type DeleteRequestSchema,
  type Durability,
  KvService,
  type SetRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, KEY_BYTES_MAX } from "../../src/base/limits.js";
import { startMemoryServer } from "./memory-server.js";

const { get, exists, set, delete: remove } = KvService.method;
type SetFields = MessageInitShape<typeof SetRequestSchema>;
type DeleteFields = MessageInitShape<typeof DeleteRequestSchema>;
type Condition = NonNullable<NonNullable<SetFields["precondition"]>["condition"]>;

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const key = bytes("k");
const value = bytes("v");
const version = (number: bigint): Condition => ({ case: "version", value: number });

/** What a call was refused with. */
async function refusal(call: Promise<unknown>): Promise<KvixError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof KvixError, String(error));
    return error;
  }
  assert.fail("the call was answered");
}

const tooLong = new Uint8Array(KEY_BYTES_MAX + 1);
const yearEnd = BigInt(Math.floor(EXPIRES_AT_MS_MAX / 1000));
const ttl = (seconds: bigint, nanos = 0): Partial<SetFields> => ({
  expiry: { case: "ttl", value: { seconds, nanos } },
});
const at = (seconds: bigint, nanos = 0): Partial<SetFields> => ({
  expiry: { case: "expireTime", value: { seconds, nanos } },
});
const condition = (wrong: Condition) => ({ precondition: { condition: wrong } });

const wrongWrites: readonly (readonly [string, DeleteFields, string])[] = [
  [
    "precondition.absent = false",
    condition({ case: "absent", value: false }),
    "precondition.absent",
  ],
  [
    "precondition.present = false",
    condition({ case: "present", value: false }),
    "precondition.present",
  ],
  ["precondition.version = 0", condition(version(0n)), "precondition.version"],
  ["precondition.version = 2^48", condition(version(2n ** 48n)), "precondition.version"],
  ["precondition.version = 2^64 - 1", condition(version(2n ** 64n - 1n)), "precondition.version"],
  ["a durability of no name", { durability: 3 as Durability }, "durability"],
  ["a negative durability", { durability: -1 as Durability }, "durability"],
];

const wrongSets: readonly (readonly [string, Partial<SetFields>, string])[] = [
  ["a ttl of zero", ttl(0n), "ttl"],
  ["a negative ttl", ttl(-1n), "ttl"],
  ["a ttl of minus one nanosecond", ttl(0n, -1), "ttl"],
  ["a ttl that ends beyond 9999", ttl(yearEnd), "ttl"],
  ["a ttl that no number holds", ttl(2n ** 63n - 1n), "ttl"],
  ["the most negative ttl", ttl(-(2n ** 63n)), "ttl"],
  ["ttl.nanos of a second", ttl(1n, 1_000_000_000), "ttl.nanos"],
  ["ttl.nanos with the other sign", ttl(1n, -1), "ttl.nanos"],
  ["an expire_time beyond 9999", at(yearEnd + 1n), "expire_time"],
  ["an expire_time that rounds up beyond 9999", at(yearEnd, 999_999_999), "expire_time"],
  ["an expire_time before year 1", at(-62_135_596_801n), "expire_time"],
  ["an expire_time that no number holds", at(2n ** 63n - 1n), "expire_time"],
  ["negative expire_time.nanos", at(1n, -1), "expire_time.nanos"],
  ["expire_time.nanos of a second", at(1n, 1_000_000_000), "expire_time.nanos"],
  ["keep_ttl = false", { expiry: { case: "keepTtl", value: false } }, "keep_ttl"],
];

function assertNamed(error: KvixError, field: string): void {
  assert.equal(error.reason, "FIELD_INVALID");
  assert.equal(error.row.status, "INVALID_ARGUMENT");
  assert.equal(error.outcome, "not-applied");
  assert.equal(error.metadata["field"], field);
  assert.ok(String(error.metadata["range"]).length > 0);
  assert.ok(error.message.includes(`${field} must be ${error.metadata["range"]}`));
}

async function assertUntouched(t: TestContext, wrong: object, field: string): Promise<void> {
  const server = await startMemoryServer(t);
  await server.client.call(set, { key, value });
  const request: SetFields = { key, value: bytes("2"), ...wrong };
  assertNamed(await refusal(server.client.call(set, request)), field);
  assert.equal((await server.client.call(get, { key })).record?.version, 1n);
  assert.equal(server.store.version, 1);
}

for (const [name, wrong, field] of wrongSets) {
  test(`Set refuses ${name} and names the field`, (t) => assertUntouched(t, wrong, field));
}

for (const [name, wrong, field] of wrongWrites) {
  test(`Set refuses ${name} and names the field`, (t) => assertUntouched(t, wrong, field));
  test(`Delete refuses ${name} and names the field`, async (t) => {
    const server = await startMemoryServer(t);
    await server.client.call(set, { key, value });
    assertNamed(await refusal(server.client.call(remove, { key, ...wrong })), field);
    assert.equal((await server.client.call(get, { key })).record?.version, 1n);
  });
}

for (const method of [get, exists, set, remove] as unknown as readonly DescMethodUnary[]) {
  test(`${method.name} refuses the empty key and a key of 65,536 bytes (I5)`, async (t) => {
    const { client, store } = await startMemoryServer(t);
    const empty = await refusal(client.call(method, {}));
    assert.equal(empty.reason, "KEY_EMPTY");
    const long = await refusal(client.call(method, { key: tooLong } as Record<string, unknown>));
    assert.equal(long.reason, "KEY_TOO_LARGE");
    assert.equal(long.metadata["keyBytes"], "65536");
    assert.equal(long.row.status, "INVALID_ARGUMENT");
    assert.equal(store.version, 0);
  });
}
