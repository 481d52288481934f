/** Every verb of a client against a real server: what it prints, as text and as JSON, and how it ends. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { verbs } from "../../src/cli/verb-catalogue.js";
import {
  type Client,
  clientOf,
  jsonLinesOf,
  jsonOf,
  run,
  runInside,
} from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";

const folder = makeFolder();
const dataDir = join(folder.path, "data");
let server: ServerProcess;
let kvix: Client;
let spawned: Client;

before(async () => {
  server = await ServerProcess.start(dataDir);
  kvix = clientOf(server.address, runInside);
  spawned = clientOf(server.address);
});
after(async () => {
  await server.end("SIGKILL");
  folder.remove();
});

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

test("set and get: version and expiry, preconditions and the value before", async () => {
  const first = await kvix(["set", "a", "1", "--ttl", "1h", "--if-absent"]);
  assert.match(first.stdout.toString(), /^set version \d+ expires \S+Z\n$/);
  const again = await kvix(["set", "a", "2", "--if-absent"]);
  assert.equal(again.code, 4);
  assert.equal(again.stdout.length, 0);
  assert.match(again.stderr, /^kvix set: not applied.*the key has version \d+ expires \S+\n$/);
  const got = jsonOf(await kvix(["get", "a", "--json"]));
  assert.deepEqual(Object.keys(got).sort(), [
    ...["expireTime", "found", "key", "storeVersion", "updateTime", "value", "version"],
  ]);
  assert.match(String(got["expireTime"]), TIME);
  const refused = await kvix(["set", "a", "2", "--if-version", "9999", "--json"]);
  assert.equal(refused.code, 4);
  const { applied, current } = jsonOf(refused) as { applied: boolean; current: { value: string } };
  assert.deepEqual([applied, current.value], [false, "1"]);
  const kept = await kvix(["set", "a", "2", "--keep-ttl", "--if-version", String(got["version"])]);
  assert.match(kept.stdout.toString(), /expires/);
  const previous = await kvix(["set", "a", "3", "--return-previous", "--durability", "buffered"]);
  assert.equal(previous.stdout.toString(), "2");
  assert.match(previous.stderr, /^kvix set: set version \d+\n$/);
  const none = await kvix(["set", "new", "1", "--return-previous", "--if-present"]);
  assert.equal(none.code, 4);
  assert.match(none.stderr, /the key is absent/);
  const past = await kvix(["set", "a", "4", "--expire-at", "2001-01-01T00:00:00Z"]);
  assert.equal(past.code, 0);
  const miss = await kvix(["get", "a"]);
  assert.deepEqual([miss.code, miss.stdout.length, miss.stderr], [3, 0, "kvix get: no such key\n"]);
  const missJson = await kvix(["get", "a", "--json"]);
  assert.equal(missJson.code, 3);
  assert.equal(jsonOf(missJson)["found"], false);
});

test("exists and delete: a code of its own for a miss, and the value that was removed", async () => {
  await kvix(["set", "d", "old"]);
  const exists = await kvix(["exists", "d"]);
  assert.match(exists.stdout.toString(), /^exists version \d+ record \d+ bytes\n$/);
  const json = jsonOf(await kvix(["exists", "d", "--json"]));
  assert.deepEqual(Object.keys(json).sort(), ["exists", "recordBytes", "storeVersion", "version"]);
  const unmet = await kvix(["delete", "d", "--if-absent"]);
  assert.equal(unmet.code, 4);
  const removed = await kvix(["delete", "d", "--return-previous"]);
  assert.equal(removed.stdout.toString(), "old");
  assert.match(removed.stderr, /^kvix delete: deleted version \d+\n$/);
  const gone = await kvix(["exists", "d", "--json"]);
  assert.deepEqual([gone.code, jsonOf(gone)["exists"]], [3, false]);
  const again = await kvix(["delete", "d", "--json"]);
  assert.equal(again.code, 3);
  const { applied, deleted } = jsonOf(again);
  assert.deepEqual([applied, deleted], [true, false]);
});

test("touch: another expiry, none, and a code of its own for a miss", async () => {
  await kvix(["set", "t", "1"]);
  const touched = await kvix(["touch", "t", "--ttl", "90s"]);
  assert.match(touched.stdout.toString(), /^touched version \d+ expires \S+\n$/);
  const forever = jsonOf(await kvix(["touch", "t", "--persist", "--json"]));
  assert.deepEqual([forever["found"], forever["expireTime"]], [true, undefined]);
  assert.equal((await kvix(["get", "t"])).stdout.toString(), "1");
  const unmet = await kvix(["touch", "t", "--ttl", "1s", "--if-version", "1"]);
  assert.equal(unmet.code, 4);
  const miss = await kvix(["touch", "nobody", "--expire-at", "2100-01-01T00:00:00+01:00"]);
  assert.deepEqual([miss.code, miss.stderr], [3, "kvix touch: no such key\n"]);
});

test("list: one record a line whatever it holds, ranges, limits, and pages behind the scenes", async () => {
  for (const [key, value] of [
    ["6c2f61", "31"],
    ["6c2f620a", "0900ff"],
    ["6c2fff", ""],
  ] as const) {
    await kvix(["set", "--hex", key, value]);
  }
  const listed = await kvix(["list", "--prefix", "l/"]);
  assert.equal(listed.stdout.toString(), "l/a\t1\nl/b\\n\t\\t\\x00\\xff\nl/\\xff\t\n");
  const keys = await kvix(["list", "--prefix", "l/", "--keys-only", "--reverse", "--limit", "2"]);
  assert.equal(keys.stdout.toString(), "l/\\xff\nl/b\\n\n");
  const hex = await kvix(["list", "--hex", "--start", "6c2f6200", "--end", "6d", "--keys-only"]);
  assert.equal(hex.stdout.toString(), "6c2f620a\n6c2fff\n");
  const json = jsonLinesOf(await kvix(["list", "--prefix", "l/", "--json"]));
  assert.equal(json.length, 3);
  assert.deepEqual([json[0]?.["key"], json[0]?.["value"]], ["l/a", "1"]);
  assert.equal(json[2]?.["keyBase64"], Buffer.from("l/\u00ff", "latin1").toString("base64"));
  assert.match(String(json[0]?.["updateTime"]), TIME);
  const none = await kvix(["list", "--prefix", "nothing"]);
  assert.deepEqual([none.code, none.stdout.length], [0, 0]);
});

test("list goes on over pages until the end, or until its limit", async () => {
  const { RpcClient } = await import("../../src/rpc/client.js");
  const { KvService } = await import("../../gen/kvix/v1/kvix_pb.js");
  const client = new RpcClient(server.address);
  const writes: Promise<unknown>[] = [];
  for (let each = 0; each < 2500; each += 1) {
    const key = Buffer.from(`p/${String(each).padStart(5, "0")}`);
    writes.push(client.call(KvService.method.set, { key, value: key }));
    if (writes.length % 200 === 0) await Promise.all(writes.splice(0));
  }
  await Promise.all(writes);
  client.close();
  const all = await kvix(["list", "--prefix", "p/", "--keys-only"]);
  const lines = all.stdout.toString().split("\n").slice(0, -1);
  assert.equal(lines.length, 2500);
  assert.deepEqual(lines, lines.toSorted());
  const some = await kvix(["list", "--prefix", "p/", "--limit", "1700", "--reverse"]);
  assert.equal(some.stdout.toString().split("\n").length - 1, 1700);
});

test("status, stats, segments and sync: for people, and as JSON for scripts", async () => {
  const status = await kvix(["status"]);
  assert.equal(status.code, 0, status.stderr);
  assert.match(status.stdout.toString(), /^state +serving$/m);
  const { state, limits, features } = jsonOf(await kvix(["status", "--json"])) as {
    state: string;
    limits: { keyBytesMax: number };
    features: string[];
  };
  assert.deepEqual([state, limits.keyBytesMax, Array.isArray(features)], ["serving", 65_535, true]);
  const stats = jsonOf(await kvix(["stats", "--json"]));
  for (const name of ["keys", "liveBytes", "segments", "storeVersion", "syncs", "indexBytes"]) {
    assert.equal(typeof stats[name], "number", name);
  }
  const rpcs = stats["rpcs"] as { method: string; calls: number }[];
  assert.ok(rpcs.some(({ method, calls }) => method === "kvix.v1.KvService/Set" && calls > 0));
  assert.match((await kvix(["stats"])).stdout.toString(), /^keys +\d+$/m);
  for (const verb of ["stats", "status"]) {
    assert.match((await kvix([verb])).stdout.toString(), /^compaction +(off|idle)/m);
    const { compaction } = jsonOf(await kvix([verb, "--json"])) as { compaction: object };
    assert.ok("state" in compaction && "runs" in compaction, verb);
  }
  const [segment] = jsonLinesOf(await kvix(["segments", "--json"]));
  const [file] = readdirSync(join(dataDir, "segments")).filter((name) => name.endsWith(".seg"));
  assert.equal(segment?.["file"], file);
  assert.equal(segment?.["state"], "active");
  assert.ok((await kvix(["segments"])).stdout.toString().includes(String(file)));
  await kvix(["set", "buffered", "1", "--durability", "buffered"]);
  const synced = jsonOf(await kvix(["sync", "--json"]));
  assert.equal(synced["durableVersion"], synced["storeVersion"]);
  assert.match((await kvix(["sync"])).stdout.toString(), /^durable up to version \d+\n$/);
});

test("verbs of every kind do the same in a process of their own, and the exit code comes through", async () => {
  const lines: readonly (readonly [string[], number, RegExp])[] = [
    [["set", "own", "1"], 0, /^set version \d+\n$/],
    [["get", "own"], 0, /^1$/],
    [["list", "--prefix", "own"], 0, /^own\t1\n$/],
    [["set", "own", "2", "--if-absent"], 4, /^$/],
    [["get", "nobody"], 3, /^$/],
    [["status"], 0, /^state +serving$/m],
    [["incr", "own-count", "-5"], 0, /^-5\n$/],
    [["scan", "--prefix", "own-"], 0, /^own-count\t-5\n$/],
    [["watch", "own-count", "--after", "0", "--limit", "1"], 0, /^\d+\tset\town-count\t-5\n$/],
    [["delete", "--prefix", "own"], 0, /^deleted 2 records\n$/],
    [["commit"], 2, /^$/],
    [["compact"], 0, /^(nothing to compact|compacted \d+ segments: .+ freed)\n$/],
    [["get"], 2, /^$/],
  ];
  for (const [args, expectedCode, expected] of lines) {
    const { code, stdout } = await spawned(args);
    assert.equal(code, expectedCode, args.join(" "));
    assert.match(stdout.toString(), expected);
  }
});

test("every verb has help with examples, exit codes, and a summary in the list of verbs", async () => {
  const all = await run(["--help"]);
  for (const { name, summary } of verbs) {
    assert.ok(all.stdout.toString().replaceAll(/\s+/g, " ").includes(`${name} `), name);
    assert.ok(all.stdout.toString().replaceAll(/\s+/g, " ").includes(summary), summary);
    if (name === "version" || name === "config") continue;
    const { code, stdout } = await runInside([name, "--help"]);
    assert.equal(code, 0);
    assert.match(
      stdout.toString(),
      new RegExp(`Examples?:\n(?: {2}.*\n)* {2}.*kvix ${name}`),
      name,
    );
    assert.match(stdout.toString(), /Exit codes:\n {2}0 {2}done/, name);
  }
  const { stdout } = await runInside(["help", "set"]);
  assert.match(stdout.toString(), /--if-version <N>/);
});

test("everything that is wrong with a command line is told at once", async () => {
  const args = ["set", "", "v", "--ttl", "5", "--keep-ttl", "--if-absent", "--if-version", "x"];
  const { code, stdout, stderr } = await runInside([
    ...args,
    "--durability",
    "no",
    "--timeout",
    "1",
  ]);
  assert.equal(code, 2);
  assert.equal(stdout.length, 0);
  for (const expected of [
    /^kvix set: wrong options$/m,
    /^ {2}KEY is empty; it must have 1 to 65535 bytes$/m,
    /^ {2}--ttl does not go together with --keep-ttl$/m,
    /^ {2}--ttl is "5"; it must be more than 0, with a unit: 90s/m,
    /^ {2}--if-absent does not go together with --if-version$/m,
    /^ {2}--if-version is "x"; it must be a whole number from 1 to 281474976710655$/m,
    /^ {2}--durability is "no"; it must be sync or buffered$/m,
    /^ {2}--timeout is "1"; it must be 1ms to/m,
  ]) {
    assert.match(stderr, expected);
  }
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["touch", "k"], /--ttl is missing, and so are --expire-at and --persist/],
    [["touch", "k", "--ttl", "1s", "--persist"], /--ttl does not go together with --persist/],
    [["set", "k", "v", "--expire-at", "2026-02-30T00:00:00Z"], /--expire-at is/],
    [["set", "k", "v", "--expire-at", "2026-02-20"], /must be an instant with its zone/],
    [["list", "--prefix", "a", "--end", "b"], /--prefix does not go together/],
    [["list", "--limit", "0"], /--limit is "0"; it must be a whole number from 1/],
    [["get"], /missing required argument 'KEY'/],
    [["exists", "a", "b"], /too many arguments/],
    [["get", "k", "--jsno"], /unknown option '--jsno'\n\(Did you mean --json\?\)/],
    [["gte", "k"], /unknown command 'gte'\n\(Did you mean get\?\)/],
  ];
  for (const [line, expected] of wrong) {
    const result = await runInside(line);
    assert.equal(result.code, 2, line.join(" "));
    assert.match(result.stderr, expected);
  }
});

test("kvix version tells the versions as JSON too", async () => {
  const { kvix: version, node } = jsonOf(await run(["version", "--json"]));
  assert.match(String(version), /^\d+\.\d+\.\d+$/);
  assert.equal(node, process.versions.node);
});
