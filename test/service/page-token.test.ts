/** Page tokens: good for their request, for nothing else, and never a surprise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KvixError } from "../../src/base/kvix-error.js";
import { pageToken, placeOfToken, type TokenScope } from "../../src/service/page-token.js";

const places = fc.uint8Array({ minLength: 1, maxLength: 300 });
const parts = fc.oneof(fc.string({ maxLength: 5 }), fc.boolean(), fc.uint8Array({ maxLength: 5 }));
const scopes: fc.Arbitrary<TokenScope> = fc.array(parts, { maxLength: 4 });

function assertRefused(scope: TokenScope, token: string): void {
  assert.throws(
    () => placeOfToken(scope, token),
    (error: unknown) => {
      assert.ok(error instanceof KvixError);
      assert.equal(error.reason, "FIELD_INVALID");
      assert.equal(error.metadata["field"], "page_token");
      return true;
    },
  );
}

test("a token gives back where the page ended; no token is the beginning", () => {
  fc.assert(
    fc.property(scopes, places, (scope, place) => {
      const token = pageToken(scope, place);
      assert.match(token, /^[A-Za-z0-9_-]+$/);
      assert.deepEqual(Buffer.from(placeOfToken(scope, token) ?? []), Buffer.from(place));
    }),
  );
  assert.equal(pageToken(["x"], undefined), "");
  assert.equal(placeOfToken(["x"], ""), undefined);
});

test("a token of another request is refused, also where the fields only run together", () => {
  const token = pageToken(["List", "ab", "", true], Buffer.from("k"));
  for (const scope of [
    ["List", "a", "b", true],
    ["List", "", "ab", true],
    ["List", "ab", "", false],
    ["List", "ab", ""],
    ["List", "ab", "", true, ""],
    ["list", "ab", "", true],
    [],
  ]) {
    assertRefused(scope, token);
  }
});

test("a token that is cut, longer, altered or no token at all is refused", () => {
  const scope = ["List"];
  const token = pageToken(scope, Buffer.from("some key"));
  const bytes = Buffer.from(token, "base64url");
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const other = Buffer.from(bytes);
    other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
    assertRefused(scope, other.toString("base64url"));
  }
  for (let length = 1; length < token.length; length += 1)
    assertRefused(scope, token.slice(0, length));
  for (const wrong of [
    `${token}A`,
    `${token}=`,
    ` ${token}`,
    `${token}\n`,
    `${token}!`,
    "\u{1f511}",
  ]) {
    assertRefused(scope, wrong);
  }
  fc.assert(fc.property(fc.string({ minLength: 1 }), (text) => assertRefused(scope, text)));
});
