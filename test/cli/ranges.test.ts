/** The verbs that take many keys, against a real server: get of several, scan, delete of a range. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KvService, ScanResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { RpcClient } from "../../src/rpc/client.js";
import { type Client, clientOf, jsonLinesOf, jsonOf, runInside } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { endWith, scriptedServer, sendMessage } from "../support/scripted-server.js";
import { ServerProcess } from "../support/server-process.js";

const folder = makeFolder();
let server: ServerProcess;
let kvix: Client;
let direct: RpcClient;

before(async () => {
  server = await ServerProcess.start(join(folder.path, "data"));
  kvix = clientOf(server.address, runInside);
  direct = new RpcClient(server.address);
});
after(async () => {
  direct.close();
  await server.end("SIGKILL");
  folder.remove();
});

/** Writes `count` records "PREFIX00000" and so on, each with its key as its value. */
async function fill(prefix: string, count: number): Promise<void> {
  for (let begun = 0; begun < count; begun += 10_000) {
    const mutations = Array.from({ length: Math.min(10_000, count - begun) }, (_, at) => {
      const key = Buffer.from(`${prefix}${String(begun + at).padStart(5, "0")}`);
      return { mutation: { case: "set" as const, value: { key, value: key } } };
    });
    await direct.call(KvService.method.commit, { mutations });
  }
}

test("get of several keys prints one record a line in the order asked for, and names those that are absent", async () => {
  await kvix(["set", "--hex", "672f31", "0a"]);
  await kvix(["set", "g/2", "two"]);
  const got = await kvix(["get", "g/2", "g/no", "g/1", "g/2", "g/none"]);
  assert.equal(got.stdout.toString(), "g/2\ttwo\ng/1\t\\n\ng/2\ttwo\n");
  assert.deepEqual([got.code, got.stderr], [3, "kvix get: no such key: g/no, g/none\n"]);
  const all = await kvix(["get", "g/1", "g/2"]);
  assert.deepEqual([all.code, all.stderr], [0, ""]);
  const json = await kvix(["get", "g/no", "g/2", "--json"]);
  assert.equal(json.code, 3);
  const [absent, found] = jsonLinesOf(json);
  assert.deepEqual(absent, { found: false, key: "g/no" });
  assert.deepEqual([found?.["found"], found?.["key"], found?.["value"]], [true, "g/2", "two"]);
  const hex = await kvix(["get", "--hex", "672f31", "672f32"]);
  assert.equal(hex.stdout.toString(), "672f31\t0a\n672f32\t74776f\n");
  const file = await kvix(["get", "g/1", "g/2", "--file", "x"]);
  assert.deepEqual([file.code, /takes the value of one key/.test(file.stderr)], [2, true]);
});

test("get of several keys asks again for what an answer has no room for, so none is left out", async () => {
  const value = Buffer.alloc(1_500_000, "v");
  const keys = ["m/1", "m/2", "m/3", "m/4", "m/5"];
  for (const key of keys) await direct.call(KvService.method.set, { key: Buffer.from(key), value });
  const { code, stdout } = await kvix(["get", ...keys]);
  assert.equal(code, 0);
  assert.equal(stdout.toString(), keys.map((key) => `${key}\t${value}\n`).join(""));
});

test("scan prints a range as list does, and goes on behind a key, in both directions", async () => {
  await fill("s/", 2500);
  const all = await kvix(["scan", "--prefix", "s/"]);
  const lines = all.stdout.toString().split("\n").slice(0, -1);
  assert.deepEqual([all.code, all.stderr, lines.length], [0, "", 2500]);
  assert.deepEqual(lines, lines.toSorted());
  assert.equal(all.stdout.toString(), (await kvix(["list", "--prefix", "s/"])).stdout.toString());
  const behind = await kvix(["scan", "--prefix", "s/", "--after", "s/02497", "--keys-only"]);
  assert.equal(behind.stdout.toString(), "s/02498\ns/02499\n");
  const before = ["scan", "--prefix", "s/", "--reverse", "--after", "s/00002", "--keys-only"];
  assert.equal((await kvix(before)).stdout.toString(), "s/00001\ns/00000\n");
  const some = await kvix(["scan", "--start", "s/00010", "--end", "s/1", "--limit", "2", "--json"]);
  assert.deepEqual(
    jsonLinesOf(some).map(({ key }) => key),
    ["s/00010", "s/00011"],
  );
  const nothing = await kvix(["scan", "--prefix", "s/", "--after", "t"]);
  assert.deepEqual([nothing.code, nothing.stdout.length], [0, 0]);
});

test("a scan that ends early says behind which key to go on, with code 5", async (t) => {
  const records = ["a", "it is"].map((key) => ({ record: { key: Buffer.from(key) } }));
  const ended = await scriptedServer(t, (call) => {
    sendMessage(call, ScanResponseSchema, { records });
    endWith(call, new KvixError("SNAPSHOT_ENDED"));
  });
  const { code, stdout, stderr } = await runInside(["scan", "--endpoint", ended]);
  assert.deepEqual([code, stdout.toString()], [5, "a\t\nit is\t\n"]);
  assert.match(stderr, /^kvix scan: SNAPSHOT_ENDED: .*newer one\. Go on with --after 'it is'\n$/);
  const closed = await scriptedServer(t, (call) => {
    sendMessage(call, ScanResponseSchema, {});
    endWith(call, new KvixError("STORE_CLOSING"));
  });
  const none = await runInside(["scan", "--endpoint", closed]);
  assert.deepEqual([none.code, none.stdout.length], [5, 0]);
  assert.doesNotMatch(none.stderr, /--after/);
  const again = await runInside(["scan", "--after", "a", "--endpoint", closed]);
  assert.match(again.stderr, /\. Go on with --after a\n$/);
});

test("delete of a range removes it whole, over many calls, and tells how many records that were", async () => {
  await fill("r/", 12_345);
  await kvix(["set", "r0", "stays"]);
  const dry = await kvix(["delete", "--prefix", "r/", "--dry-run"]);
  assert.deepEqual([dry.code, dry.stdout.toString()], [0, "would delete 12345 records\n"]);
  const few = jsonOf(
    await kvix(["delete", "--prefix", "r/", "--dry-run", "--limit", "7", "--json"]),
  );
  assert.deepEqual([few["count"], few["dryRun"]], [7, true]);
  const some = jsonOf(await kvix(["delete", "--prefix", "r/", "--limit", "11000", "--json"]));
  assert.deepEqual([some["count"], some["dryRun"]], [11_000, false]);
  const rest = await kvix(["delete", "--start", "r/", "--end", "r0", "--durability", "buffered"]);
  assert.deepEqual([rest.code, rest.stdout.toString()], [0, "deleted 1345 records\n"]);
  assert.equal((await kvix(["list", "--prefix", "r"])).stdout.toString(), "r0\tstays\n");
  const none = await kvix(["delete", "--prefix", "r/"]);
  assert.deepEqual([none.code, none.stdout.toString()], [0, "deleted 0 records\n"]);
});

test("all keys are removed only where --all says so, and an empty bound does not mean all of them", async () => {
  const before = jsonOf(await kvix(["delete", "--all", "--dry-run", "--json"]))["count"];
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["delete"], /KEY is missing; give it, or a range/],
    [["delete", "--prefix", ""], /--prefix is empty; all keys are --all/],
    [["delete", "--start", "", "--end", ""], /--start is empty; all keys are --all/],
    [["delete", "--all", "--prefix", "a"], /--all does not go together with --prefix/],
    [
      ["delete", "--prefix", "a", "--end", "b"],
      /--prefix does not go together with --start or --end/,
    ],
    [["delete", "key", "--all"], /KEY does not go together with a range/],
    [["delete", "key", "--dry-run"], /--dry-run goes with a range, not with a key/],
    [["delete", "key", "--limit", "1"], /--limit goes with a range, not with a key/],
    [["delete", "--all", "--if-present"], /--if-present goes with a key, not with a range/],
    [["delete", "--all", "--return-previous"], /--return-previous goes with a key/],
  ];
  for (const [args, expected] of wrong) {
    const { code, stdout, stderr } = await kvix(args);
    assert.deepEqual([code, stdout.length], [2, 0], args.join(" "));
    assert.match(stderr, expected);
  }
  const after = jsonOf(await kvix(["delete", "--all", "--dry-run", "--json"]))["count"];
  assert.ok(before === after && Number(after) > 0);
  assert.equal((await kvix(["delete", "--all"])).stdout.toString(), `deleted ${after} records\n`);
  assert.equal((await kvix(["list"])).stdout.length, 0);
});
