/** Touch, and pages of List: their order, their ends, their tokens, their size. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../support/foreign-client.js";
import { base64, type World } from "./suite.js";

type Fields = Record<string, string>;

interface Listed {
  readonly record: Fields;
  readonly valueOmitted?: boolean;
  readonly recordBytes: number;
  readonly rawKey?: string;
  readonly rawValue?: string;
}

const HIGHEST = 0xff;

export function listScenario({ call, refused }: World): void {
  /** All pages of a request, one after the other. */
  const pagesOf = async (rpc: string, request: Json): Promise<Listed[][]> => {
    const pages: Listed[][] = [];
    for (let pageToken = ""; ; ) {
      const page = await call(rpc, { ...request, pageToken });
      pages.push((page["records"] ?? []) as Listed[]);
      pageToken = (page["nextPageToken"] ?? "") as string;
      if (pageToken === "") return pages;
    }
  };
  const keysOf = async (request: Json): Promise<string[]> =>
    (await pagesOf("KvService/List", request))
      .flat()
      .map(({ record }) => Buffer.from(record["key"] ?? "", "base64").toString("latin1"));

  for (const [service, text] of [
    ["KvService", base64],
    ["KvTextService", String],
  ] as const) {
    test(`${service}: Touch changes the expiry and nothing else; persist ends it; a miss is not found (T1)`, async () => {
      const key = text(`touch-${service}`);
      const at = (name: string): string => `${service}/${name}`;
      const missed = await call(at("Touch"), { key, ttl: "60s" });
      const { storeVersion } = missed;
      assert.deepEqual(missed, { applied: true, storeVersion });
      const written = await call(at("Set"), { key, value: text("kept") });
      const touched = await call(at("Touch"), { key, ttl: "3600s", durability: 2 });
      assert.deepEqual([touched["applied"], touched["found"]], [true, true]);
      assert.ok(BigInt(touched["version"] as string) > BigInt(written["version"] as string));
      assert.ok(Date.parse(touched["expireTime"] as string) > Date.now() + 3_000_000);
      const { record } = (await call(at("Get"), { key })) as { record: Fields };
      assert.equal(record["value"], text("kept"));
      assert.equal(record["expireTime"], touched["expireTime"]);
      assert.equal(record["version"], touched["version"]);
      const unmet = { key, persist: true, precondition: { version: written["version"] } };
      const kept = await call(at("Touch"), unmet);
      assert.deepEqual([kept["applied"], kept["found"]], [undefined, undefined]);
      assert.deepEqual(kept["current"], record);
      const met = { key, persist: true, precondition: { version: touched["version"] } };
      assert.equal((await call(at("Touch"), met))["expireTime"], undefined);
      const facts = await call(at("Exists"), { key });
      assert.deepEqual([facts["exists"], facts["expireTime"]], [true, undefined]);
      const past = await call(at("Touch"), { key, expireTime: "2000-01-01T00:00:00Z" });
      assert.deepEqual([past["applied"], past["found"]], [true, true]);
      assert.equal((await call(at("Get"), { key }))["record"], undefined);
      assert.equal((await call(at("Touch"), { key, persist: true }))["found"], undefined);
    });
  }

  test("List goes through keys in the order of their bytes, forwards and backwards, page by page (I9)", async () => {
    const tails = [[], [0], [0, 1], [1], [0x61], [0x7f], [0x80], [HIGHEST], [HIGHEST, 0]];
    const prefix = "list-";
    const names = tails.map((tail) => prefix + String.fromCharCode(...tail));
    const bytes = (name: string): string => Buffer.from(name, "latin1").toString("base64");
    for (const name of [...names].reverse()) {
      await call("KvService/Set", { key: bytes(name), value: bytes(name) });
    }
    const scope = { prefix: bytes(prefix) };
    for (const pageSize of [0, 1, 2, 4, names.length, 20_000]) {
      assert.deepEqual(await keysOf({ ...scope, pageSize }), names, `pages of ${pageSize}`);
      const backwards = await keysOf({ ...scope, pageSize, reverse: true });
      assert.deepEqual(backwards, [...names].reverse(), `pages of ${pageSize}, backwards`);
    }
    const between = { start: bytes(names[2] as string), end: bytes(names[6] as string) };
    assert.deepEqual(await keysOf(between), names.slice(2, 6));
    assert.deepEqual(await keysOf({ ...between, reverse: true }), names.slice(2, 6).reverse());
    const [whole] = await pagesOf("KvService/List", scope);
    const [bare] = await pagesOf("KvService/List", { ...scope, keysOnly: true });
    for (const [index, { record, recordBytes }] of (whole ?? []).entries()) {
      assert.equal(record["value"], record["key"]);
      assert.ok(record["updateTime"]);
      const { key, version } = record;
      assert.deepEqual(bare?.[index], { record: { key, version }, recordBytes });
    }
  });

  test("List leaves out what is deleted or expired, and shows when the rest will expire (I9, T1)", async () => {
    const prefix = base64("gone-");
    await call("KvService/Set", { key: base64("gone-1"), value: "MQ==" });
    await call("KvService/Delete", { key: base64("gone-1") });
    const expireTime = "2000-01-01T00:00:00Z";
    await call("KvService/Set", { key: base64("gone-2"), value: "MQ==", expireTime });
    const later = "2100-01-01T00:00:00Z";
    await call("KvService/Set", { key: base64("gone-3"), value: "MQ==" });
    await call("KvService/Touch", { key: base64("gone-3"), expireTime: later });
    for (const keysOnly of [true, false]) {
      const [page] = await pagesOf("KvService/List", { prefix, keysOnly });
      assert.deepEqual(
        page?.map(({ record }) => [record["key"], record["expireTime"]]),
        [[base64("gone-3"), later]],
      );
    }
  });

  test("a token is good for its own request alone, also after what it ended at is gone", async () => {
    const prefix = base64("token-");
    for (const name of ["token-1", "token-2", "token-3"]) {
      await call("KvService/Set", { key: base64(name), value: "MQ==" });
    }
    const first = await call("KvService/List", { prefix, pageSize: 2 });
    const pageToken = first["nextPageToken"] as string;
    for (const other of [
      { prefix: base64("token") },
      { prefix, reverse: true },
      { prefix, keysOnly: true },
      { start: prefix },
    ]) {
      const error = await refused("KvService/List", { ...other, pageToken });
      assert.equal(error.code, "INVALID_ARGUMENT");
      assert.match(error.message, /page_token/);
    }
    await call("KvService/Delete", { key: base64("token-2") });
    const rest = await call("KvService/List", { prefix, pageToken, pageSize: 9 });
    assert.deepEqual(
      (rest["records"] as Listed[]).map(({ record }) => record["key"]),
      [base64("token-3")],
    );
    assert.equal(rest["nextPageToken"], undefined);
  });

  test("a page is never more than a client takes by itself, however large its records (P4)", async () => {
    const value = Buffer.alloc(700_000, 5).toString("base64");
    for (let index = 0; index < 13; index += 1) {
      await call("KvService/Set", { key: base64(`page-${index}`), value });
    }
    const pages = await pagesOf("KvService/List", { prefix: base64("page-") });
    assert.ok(pages.length >= 3, `${pages.length} pages`);
    const records = pages.flat();
    assert.equal(records.length, 13);
    assert.ok(records.every(({ record }) => record["value"] === value));
    const small = Buffer.alloc(600, 5).toString("base64");
    await Promise.all(
      Array.from({ length: 9_000 }, (_, index) =>
        call("KvService/Set", { key: base64(`many-${index}`), value: small, durability: 2 }),
      ),
    );
    const many = await pagesOf("KvService/List", { prefix: base64("many-"), pageSize: 10_000 });
    assert.equal(many.flat().length, 9_000);
    assert.ok(many.length >= 2, `${many.length} pages`);
  });

  test("KvTextService lists what is no text as raw_key and raw_value", async () => {
    const value = Buffer.from([HIGHEST]).toString("base64");
    const rawKey = Buffer.from([...Buffer.from("raw-"), HIGHEST]).toString("base64");
    await call("KvService/Set", { key: base64("raw-a"), value });
    await call("KvService/Set", { key: rawKey, value: base64("text") });
    const [page] = await pagesOf("KvTextService/List", { prefix: "raw-" });
    const [one, other] = page ?? [];
    assert.deepEqual([one?.record["key"], one?.record["value"]], ["raw-a", undefined]);
    assert.deepEqual(
      [one?.rawKey, one?.rawValue, one?.valueOmitted],
      [undefined, value, undefined],
    );
    assert.deepEqual([other?.record["key"], other?.record["value"]], [undefined, "text"]);
    assert.deepEqual([other?.rawKey, other?.rawValue], [rawKey, undefined]);
    const request = { prefix: "raw-", keysOnly: true, reverse: true };
    const { records } = await call("KvTextService/List", request);
    const [bare] = records as Listed[];
    assert.deepEqual([bare?.rawKey, bare?.rawValue], [rawKey, undefined]);
  });
}
