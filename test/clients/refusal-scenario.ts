/** Every field of every rpc, wrong in every way that a client can send, and what it is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CallOptions, ForeignError, Json } from "../support/foreign-client.js";
import { base64, type World } from "./suite.js";

const KEY_BYTES_MAX = 65_535;
const services = ["KvService", "KvTextService"] as const;
const keyed = ["Get", "Exists", "Set", "Delete", "Touch"] as const;
/** What Touch must be told beside the key; the others ignore a field that they do not have. */
const needed = (method: string): Json => (method === "Touch" ? { persist: true } : {});

/** A request to be refused: as JSON, or in bytes if the language would not let it pass. */
interface Wrong {
  readonly rpcs: readonly string[];
  readonly what: string;
  readonly request?: Json;
  /** Bytes that follow the key. */
  readonly tail?: readonly number[];
  readonly field: string;
}

/** A varint of 32 bits or less. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** A field of length-delimited bytes. */
const field = (number: number, bytes: readonly number[]): number[] => [
  ...varint((number << 3) | 2),
  ...varint(bytes.length),
  ...bytes,
];

/** -1 as an int64 or an int32 is encoded. */
const minusOne = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
const most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];

const writes: readonly Wrong[] = [
  {
    what: "absent = false",
    request: { precondition: { absent: false } },
    field: "precondition.absent",
  },
  {
    what: "present = false",
    request: { precondition: { present: false } },
    field: "precondition.present",
  },
  { what: "version 0", request: { precondition: { version: "0" } }, field: "precondition.version" },
  {
    what: "version 2^64 - 1",
    request: { precondition: { version: "18446744073709551615" } },
    field: "precondition.version",
  },
  { what: "a durability of no name", request: { durability: 3 }, field: "durability" },
  { what: "a negative durability", request: { durability: -1 }, field: "durability" },
].map((wrong) => ({ ...wrong, rpcs: ["Set", "Delete", "Touch"] }));

const expiries: readonly Wrong[] = [
  { what: "a ttl of zero", request: { ttl: "0s" }, field: "ttl" },
  { what: "a negative ttl", request: { ttl: "-1s" }, field: "ttl" },
  { what: "a ttl of minus one nanosecond", request: { ttl: "-0.000000001s" }, field: "ttl" },
  { what: "a ttl beyond 9999", request: { ttl: "315576000000s" }, field: "ttl" },
  { what: "a ttl of 2^63 - 1 s", tail: field(3, [0x08, ...most]), field: "ttl" },
  {
    what: "ttl.nanos with the other sign",
    tail: field(3, [0x08, 1, 0x10, ...minusOne]),
    field: "ttl.nanos",
  },
  {
    what: "ttl.nanos of a second",
    tail: field(3, [0x08, 1, 0x10, ...varint(1_000_000_000)]),
    field: "ttl.nanos",
  },
  { what: "an expire_time of 2^63 - 1 s", tail: field(4, [0x08, ...most]), field: "expire_time" },
  {
    what: "negative expire_time.nanos",
    tail: field(4, [0x08, 1, 0x10, ...minusOne]),
    field: "expire_time.nanos",
  },
].map((wrong) => ({ ...wrong, rpcs: ["Set", "Touch"] }));

const others: readonly Wrong[] = [
  { what: "keep_ttl = false", request: { keepTtl: false }, field: "keep_ttl", rpcs: ["Set"] },
  { what: "persist = false", request: { persist: false }, field: "persist", rpcs: ["Touch"] },
  { what: "no expiry", request: {}, field: "expiry", rpcs: ["Touch"] },
];

const wrongs: readonly Wrong[] = [...writes, ...expiries, ...others];

const detail = (error: ForeignError, type: string): Json | undefined =>
  error.details.find((each) => each["type"] === `google.rpc.${type}`);

/** Refused for a field, with all that goes with it, as the other language decoded it. */
function requireNamed(error: ForeignError, reason: string, name: string, where: string): void {
  assert.equal(error.code, "INVALID_ARGUMENT", where);
  const info = detail(error, "ErrorInfo");
  assert.ok(info, `${where}: ${JSON.stringify(error)}`);
  assert.deepEqual([info["reason"], info["domain"]], [reason, "kvix"], where);
  const metadata = info["metadata"] as Record<string, string>;
  assert.equal(metadata["field"], name, where);
  assert.ok((metadata["range"] ?? "").length > 0, where);
  const violations = detail(error, "BadRequest")?.["fieldViolations"] as Json[] | undefined;
  assert.equal(violations?.[0]?.["field"], name, where);
  assert.ok(String(violations?.[0]?.["description"]).length > 0, where);
  assert.equal(detail(error, "RetryInfo"), undefined, `${where}: nothing to be tried again`);
  assert.ok(error.message.startsWith(`${reason}: `), where);
}

export function refusalScenario({ call, refused }: World): void {
  for (const service of services) {
    const text = (value: string): string => (service === "KvService" ? base64(value) : value);
    const key = text("refusal");

    test(`${service} refuses the empty key and one of 65,536 bytes (I5)`, async () => {
      const longest = text("k".repeat(KEY_BYTES_MAX));
      const long = text("k".repeat(KEY_BYTES_MAX + 1));
      for (const method of keyed) {
        const rpc = `${service}/${method}`;
        requireNamed(await refused(rpc, {}), "KEY_EMPTY", "key", rpc);
        requireNamed(await refused(rpc, { key: long }), "KEY_TOO_LARGE", "key", rpc);
        await call(rpc, { key: longest, ...needed(method) });
      }
    });

    test(`${service} refuses every field that is wrong, and names it`, async () => {
      await call(`${service}/Set`, { key, value: text("kept") });
      const before = await call(`${service}/Get`, { key });
      for (const wrong of wrongs) {
        for (const method of wrong.rpcs) {
          const rpc = `${service}/${method}`;
          const bytes = [...field(1, [...Buffer.from("refusal")]), ...(wrong.tail ?? [])];
          const options: CallOptions = wrong.tail === undefined ? {} : { raw: base64(bytes) };
          const beside = writes.includes(wrong) ? needed(method) : {};
          const error = await refused(rpc, { key, ...beside, ...wrong.request }, options);
          requireNamed(error, "FIELD_INVALID", wrong.field, `${rpc}: ${wrong.what}`);
          assert.equal(
            detail(error, "ErrorInfo")?.["metadata"]?.["outcome" as never],
            "not-applied",
          );
        }
      }
      assert.deepEqual(await call(`${service}/Get`, { key }), before, "nothing was written");
    });

    test(`${service} refuses bytes that are no message, and ignores fields it does not know`, async () => {
      for (const method of keyed) {
        const rpc = `${service}/${method}`;
        const error = await refused(rpc, {}, { raw: base64([0x0a, 0x05, 0x61]) });
        assert.equal(error.code, "INVALID_ARGUMENT", rpc);
        assert.equal(detail(error, "ErrorInfo")?.["reason"], "FIELD_INVALID", rpc);
      }
      const unknown = [...field(1, [0x61]), ...field(1000, [1, 2, 3])];
      await call(`${service}/Get`, {}, { raw: base64(unknown) });
    });
  }

  for (const service of services) {
    const text = (value: string): string => (service === "KvService" ? base64(value) : value);

    test(`${service}: List refuses a range, a size and a token that make no sense, and names the field`, async () => {
      const long = text("k".repeat(KEY_BYTES_MAX + 1));
      const [a, b] = [text("a"), text("b")];
      const { nextPageToken } = await call(`${service}/List`, { pageSize: 1 });
      const asked: readonly (readonly [Json, string])[] = [
        [{ prefix: long }, "prefix"],
        [{ start: long }, "start"],
        [{ end: long }, "end"],
        [{ prefix: a, start: a }, "prefix"],
        [{ prefix: a, end: a }, "prefix"],
        [{ start: b, end: a }, "end"],
        [{ pageSize: -1 }, "page_size"],
        [{ pageSize: -2_147_483_648 }, "page_size"],
        ...["x", "AQ", "%", `${String(nextPageToken)}A`, String(nextPageToken).slice(1)].map(
          (pageToken): [Json, string] => [{ pageToken }, "page_token"],
        ),
      ];
      for (const [request, name] of asked) {
        const rpc = `${service}/List`;
        const where = `${rpc}: ${JSON.stringify(request).slice(0, 80)}`;
        requireNamed(await refused(rpc, request), "FIELD_INVALID", name, where);
      }
    });
  }

  test("ListSegments refuses a size and a token that make no sense, and names the field", async () => {
    const rpc = "AdminService/ListSegments";
    for (const [request, name] of [
      [{ pageSize: -1 }, "page_size"],
      [{ pageToken: "x" }, "page_token"],
    ] as const) {
      requireNamed(await refused(rpc, request), "FIELD_INVALID", name, rpc);
    }
    const error = await refused("AdminService/Sync", {}, { raw: base64([0x0a]) });
    assert.equal(error.code, "INVALID_ARGUMENT");
  });

  test("KvTextService refuses what is no UTF-8, and names the field", async () => {
    for (const method of keyed) {
      const rpc = `KvTextService/${method}`;
      const persist = method === "Touch" ? [0x28, 1] : [];
      const raw = base64([...field(1, [0xff, 0xfe]), ...persist]);
      requireNamed(await refused(rpc, {}, { raw }), "FIELD_INVALID", "key", rpc);
    }
    const value = [...field(1, [0x61]), ...field(2, [0xc0, 0x80])];
    const error = await refused("KvTextService/Set", {}, { raw: base64(value) });
    requireNamed(error, "FIELD_INVALID", "value", "Set: value");
    for (const [number, name] of Object.entries({ 1: "prefix", 2: "start", 3: "end" })) {
      const raw = base64(field(Number(number), [0xff]));
      const refusal = await refused("KvTextService/List", {}, { raw });
      requireNamed(refusal, "FIELD_INVALID", name, `List: ${name}`);
    }
  });

  test("a record that no answer could carry is refused when it is set: RECORD_TOO_LARGE (P4)", async () => {
    // The request fits the message; the record has version and time besides.
    const value = Buffer.alloc(4 * 1024 * 1024 - 24, 7).toString("base64");
    const key = base64("too-large");
    const error = await refused("KvService/Set", { key, value });
    assert.equal(error.code, "FAILED_PRECONDITION");
    assert.equal(detail(error, "ErrorInfo")?.["reason"], "RECORD_TOO_LARGE");
    assert.equal((await call("KvService/Exists", { key }))["exists"], undefined);
  });

  test("a method that is not there is UNIMPLEMENTED, a message over the limit RESOURCE_EXHAUSTED", async () => {
    const missing = await refused("KvService/Frobnicate", {}, { raw: "" });
    assert.equal(missing.code, "UNIMPLEMENTED");
    const value = Buffer.alloc(5 * 1024 * 1024).toString("base64");
    const large = await refused("KvService/Set", { key: base64("k"), value });
    assert.equal(large.code, "RESOURCE_EXHAUSTED");
  });

  test("a deadline that has passed is DEADLINE_EXCEEDED (P3)", async () => {
    const value = Buffer.alloc(3 * 1024 * 1024).toString("base64");
    const late = { key: base64("late"), value };
    const error = await refused("KvService/Set", late, { timeoutMs: 1 });
    assert.equal(error.code, "DEADLINE_EXCEEDED");
  });
}
