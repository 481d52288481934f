/**
 * The digest of a request lies on disk: another one for the same request, and a repeat
 * after an upgrade would be refused as another request. Held against the bytes that the
 * head of request-digest.ts lists, put together here.
 */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  commitDigest,
  expiryOf,
  incrementDigest,
} from "../../../src/engine/requests/request-digest.js";
import type { KeyCondition, Mutation } from "../../../src/engine/store.js";
import { bytes } from "../../support/store-rig.js";

const u32 = (value: number): Buffer => {
  const field = Buffer.alloc(4);
  field.writeUInt32LE(value);
  return field;
};
const f64 = (value: number): Buffer => {
  const field = Buffer.alloc(8);
  field.writeDoubleLE(value);
  return field;
};
const i64 = (value: bigint): Buffer => {
  const field = Buffer.alloc(8);
  field.writeBigInt64LE(value);
  return field;
};
const sized = (text: string): Buffer =>
  Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);

const sha256 = (...parts: readonly (string | Buffer)[]): string => {
  const all = parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part));
  return createHash("sha256").update(Buffer.concat(all)).digest("hex");
};
const hex = (digest: Uint8Array): string => Buffer.from(digest).toString("hex");

test("V9 R7: the digest of an increment is that of the bytes it is said to be", () => {
  for (const [expiry, expected] of [
    [{ kind: "never" }, ["n"]],
    [{ kind: "keep" }, ["k"]],
    [{ kind: "ttl", ttlMs: 1500.5 }, ["t", f64(1500.5)]],
    [{ kind: "at", atMs: 2 ** 41 }, ["a", f64(2 ** 41)]],
    [{ kind: "ttl", ttlMs: -0 }, ["t", f64(0)]],
  ] as const) {
    assert.equal(
      hex(incrementDigest(bytes("key"), expiry, -2n, 7n)),
      sha256("I", sized("key"), ...expected, i64(-2n), i64(7n)),
    );
  }
});

test("V9 R7: the digest of a commit is that of the bytes it is said to be", () => {
  assert.equal(hex(commitDigest([], [])), sha256("C", u32(0), u32(0)));
  const conditions: readonly KeyCondition[] = [
    { key: bytes("x"), condition: { kind: "absent" } },
    { key: bytes("yy"), condition: { kind: "present" } },
    { key: bytes("z"), condition: { kind: "version", version: 2 ** 40 } },
  ];
  const mutations: readonly Mutation[] = [
    { kind: "set", key: bytes("a"), value: bytes("value") },
    { kind: "set", key: bytes("b"), value: bytes(""), expiry: { kind: "ttl", ttlMs: 5 } },
    { kind: "delete", key: bytes("c") },
    { kind: "touch", key: bytes("d"), expiry: { kind: "at", atMs: 9 } },
    { kind: "increment", key: bytes("e"), delta: 3n, initial: 4n },
    { kind: "increment", key: bytes("f"), delta: 3n, initial: 4n, expiry: { kind: "never" } },
  ];
  assert.equal(
    hex(commitDigest(conditions, mutations)),
    sha256(
      ...["C", u32(3), sized("x"), "a", sized("yy"), "p", sized("z"), "v", f64(2 ** 40)],
      ...[u32(6), "s", sized("a"), sized("value"), "n"],
      ...["s", sized("b"), sized(""), "t", f64(5)],
      ...["d", sized("c")],
      ...["t", sized("d"), "a", f64(9)],
      ...["i", sized("e"), "k", i64(3n), i64(4n)],
      ...["i", sized("f"), "n", i64(3n), i64(4n)],
    ),
  );
});

test("an expiry that is left out: a set never expires, an increment keeps what there is", () => {
  const key = bytes("a");
  const at = { kind: "at", atMs: 5 } as const;
  assert.deepEqual(expiryOf({ kind: "set", key, value: key }), { kind: "never" });
  assert.deepEqual(expiryOf({ kind: "increment", key, delta: 1n, initial: 0n }), { kind: "keep" });
  assert.deepEqual(expiryOf({ kind: "set", key, value: key, expiry: at }), at);
  assert.deepEqual(expiryOf({ kind: "touch", key, expiry: at }), at);
});
