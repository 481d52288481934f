/** `kvix commit` and `kvix incr` against a real server: what they read, what they print, how they end. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Client, clientOf, jsonOf, runInside } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";

const folder = makeFolder();
let server: ServerProcess;
let kvix: Client;

before(async () => {
  server = await ServerProcess.start(join(folder.path, "data"));
  kvix = clientOf(server.address, runInside);
});
after(async () => {
  await server.end("SIGKILL");
  folder.remove();
});

const linesOf = (...values: readonly object[]): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join("");
const storeVersion = async (): Promise<number> =>
  Number(jsonOf(await kvix(["exists", "any", "--json"]))["storeVersion"]);

test("incr prints the number, from nothing, from --initial, and below zero", async () => {
  assert.equal((await kvix(["incr", "n"])).stdout.toString(), "1\n");
  assert.equal((await kvix(["incr", "n", "-5"])).stdout.toString(), "-4\n");
  assert.equal((await kvix(["incr", "m", "2", "--initial", "40"])).stdout.toString(), "42\n");
  assert.equal((await kvix(["incr", "m", "0", "--initial=-9"])).stdout.toString(), "42\n");
  const timed = jsonOf(await kvix(["incr", "n", "--ttl", "1h", "--json"]));
  assert.deepEqual([timed["value"], timed["repeated"]], [-3, false]);
  const kept = jsonOf(await kvix(["incr", "n", "--json"]));
  assert.equal(kept["expireTime"], timed["expireTime"]);
  const forever = jsonOf(await kvix(["incr", "n", "--persist", "--json"]));
  assert.equal(forever["expireTime"], undefined);
  const exact = await kvix(["incr", "big", "1", "--initial", "9007199254740992", "--json"]);
  assert.equal(jsonOf(exact)["value"], "9007199254740993");
});

test("incr with a --request-id is made once, and says that it was made before", async () => {
  const line = ["incr", "once", "--request-id", "0b7a6f5e-1c2d-4e3f"];
  assert.equal((await kvix(line)).stdout.toString(), "1\n");
  assert.equal((await kvix(line)).stdout.toString(), "1\n");
  assert.equal(jsonOf(await kvix([...line, "--json"]))["repeated"], true);
  const other = await kvix(["incr", "once", "2", "--request-id", "0b7a6f5e-1c2d-4e3f"]);
  assert.deepEqual([other.code, /REQUEST_ID_REUSED/.test(other.stderr)], [2, true]);
  assert.equal((await kvix(["get", "once"])).stdout.toString(), "1");
});

test("incr of what is no number, or beyond 64 bits, is refused with code 7 and changes nothing", async () => {
  await kvix(["set", "text", "1.5"]);
  const text = await kvix(["incr", "text"]);
  assert.deepEqual([text.code, /^kvix incr: NOT_A_NUMBER/.test(text.stderr)], [7, true]);
  await kvix(["set", "full", "9223372036854775807"]);
  const full = await kvix(["incr", "full"]);
  assert.deepEqual([full.code, /^kvix incr: NUMBER_OVERFLOW/.test(full.stderr)], [7, true]);
  assert.equal((await kvix(["get", "full"])).stdout.toString(), "9223372036854775807");
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["incr", "n", "1.5"], /DELTA is "1\.5"; it must be a whole number from -9223372036854775808/],
    [["incr", "n", "9223372036854775808"], /DELTA is/],
    [["incr", "n", "--initial", "x"], /--initial is "x"/],
    [["incr", "n", "--ttl", "1s", "--persist"], /--ttl does not go together with --persist/],
    [["incr", "n", "--request-id", "short"], /--request-id has 5 bytes; it must have 16 to 64/],
  ];
  for (const [args, expected] of wrong) {
    const { code, stderr } = await kvix(args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, expected);
  }
});

test("commit makes all of its changes together, from lines, from an array, from stdin and a file", async () => {
  await kvix(["set", "c/gone", "1"]);
  await kvix(["set", "c/timed", "1"]);
  const input = linesOf(
    { op: "if", key: "c/gone", present: true },
    { op: "if", key: "c/new", absent: true },
    { op: "set", key: "c/new", value: "v", ttl: "1h" },
    { op: "set", keyHex: "632ff0", valueBase64: "AP8=" },
    { op: "delete", key: "c/gone" },
    { op: "delete", key: "c/nobody" },
    { op: "touch", key: "c/timed", expireTime: "2100-01-01T00:00:00Z" },
    { op: "increment", key: "c/n", delta: "-5", initial: 100 },
  );
  const done = await kvix(["commit"], { input });
  assert.equal(done.code, 0, done.stderr);
  assert.match(
    done.stdout.toString(),
    new RegExp(
      [
        "^set c/new version (\\d+) expires \\S+Z",
        "set c/\\\\xf0 version \\d+",
        "deleted c/gone version \\d+",
        "no such key: c/nobody",
        "touched c/timed version \\d+ expires 2100-01-01T00:00:00\\.000Z",
        "incremented c/n to 95 version \\d+\n$",
      ].join("\n"),
    ),
  );
  const odd = await kvix(["get", "--hex", "632ff0", "--file", "-"]);
  assert.deepEqual(odd.stdout, Buffer.from([0x00, 0xff]));

  const version = Number(jsonOf(await kvix(["get", "c/timed", "--json"]))["version"]);
  const path = join(folder.path, "commit.json");
  const file = [
    { op: "if", key: "c/timed", version },
    { op: "touch", key: "c/timed", persist: true },
    { op: "set", key: "c/new", value: "w", keepTtl: true },
    { op: "increment", key: "c/n" },
  ];
  writeFileSync(path, JSON.stringify(file, undefined, 2));
  const { applied, results } = jsonOf(await kvix(["commit", path, "--json"])) as {
    applied: boolean;
    results: Record<string, unknown>[];
  };
  assert.equal(applied, true);
  const [touched, kept, counted] = results;
  assert.deepEqual(
    [touched?.["op"], touched?.["found"], touched?.["expireTime"]],
    [...["touch", true, undefined]],
  );
  assert.equal(typeof kept?.["expireTime"], "string");
  assert.deepEqual([counted?.["key"], counted?.["value"]], ["c/n", 96]);
  const versions = results.map((result) => Number(result["version"]));
  assert.deepEqual(
    versions,
    [0, 1, 2].map((at) => Number(versions[0]) + at),
  );
});

test("commit with a condition that does not hold ends with 4, says which, and writes nothing", async () => {
  await kvix(["set", "u/there", "1"]);
  const before = await storeVersion();
  const input = linesOf(
    { op: "if", key: "u/there", absent: true },
    { op: "if", key: "u/there2", absent: true },
    { op: "if", key: "u/absent", version: 7 },
    { op: "set", key: "u/new", value: "v" },
  );
  const unmet = await kvix(["commit", "-"], { input });
  assert.deepEqual([unmet.code, unmet.stdout.length], [4, 0]);
  assert.match(
    unmet.stderr,
    /^kvix commit: not applied, a condition does not hold: u\/there has version \d+; u\/absent is absent\n$/,
  );
  const json = await kvix(["commit", "--json"], { input });
  assert.equal(json.code, 4);
  const {
    applied,
    results,
    unmet: told,
  } = jsonOf(json) as {
    applied: boolean;
    results: unknown[];
    unmet: { index: number; key: string; current?: { value: string } }[];
  };
  assert.deepEqual([applied, results], [false, []]);
  assert.deepEqual(
    told.map(({ index, key, current }) => [index, key, current?.value]),
    [
      [0, "u/there", "1"],
      [2, "u/absent", undefined],
    ],
  );
  assert.equal((await kvix(["exists", "u/new"])).code, 3);
  assert.equal(await storeVersion(), before);
  const alone = await kvix(["commit"], {
    input: '{"op": "if", "key": "u/there", "present": true}',
  });
  assert.deepEqual([alone.code, alone.stdout.toString()], [0, "all conditions hold\n"]);
});

test("commit with a --request-id is made once, and its repeat is answered as the first", async () => {
  const input = linesOf({ op: "increment", key: "r/n" }, { op: "set", key: "r/a", value: "1" });
  const line = ["commit", "--request-id", "1b7a6f5e-1c2d-4e3f"];
  const first = await kvix(line, { input });
  const again = await kvix(line, { input });
  assert.equal(again.stdout.toString(), first.stdout.toString());
  assert.deepEqual([first.stderr, /made before/.test(again.stderr)], ["", true]);
  assert.equal(jsonOf(await kvix([...line, "--json"], { input }))["repeated"], true);
  assert.equal((await kvix(["get", "r/n"])).stdout.toString(), "1");
});

test("what scan prints becomes a commit with one word in between", async () => {
  await kvix(["set", "p/1", "a"]);
  await kvix(["set", "--hex", "702f32", "ff"]);
  const { stdout } = await kvix(["scan", "--prefix", "p/", "--json"]);
  const records = stdout.toString().trim().split("\n");
  const input = records
    .map((line) => {
      const { key, valueBase64, value } = JSON.parse(line);
      const bytes = value === undefined ? { valueBase64 } : { value };
      return JSON.stringify({ op: "set", key: `copy/${key}`, ...bytes });
    })
    .join("\n");
  assert.equal((await kvix(["commit"], { input })).code, 0);
  assert.equal(
    (await kvix(["list", "--prefix", "copy/"])).stdout.toString(),
    "copy/p/1\ta\ncopy/p/2\t\\xff\n",
  );
});

test("everything that is wrong with a commit's file is told by its place, and nothing is sent", async () => {
  const before = await storeVersion();
  const input = [
    '{"op": "put", "key": "a"}',
    '{"op": "set", "key": "a"}',
    "",
    '{"op": "set", "key": "a", "keyHex": "61", "value": "1"}',
    '{"op": "set", "key": "a", "value": "1", "tll": "1s"}',
    '{"op": "set", "key": "a", "value": 1}',
    '{"op": "set", "key": "a", "value": "1", "ttl": "5"}',
    '{"op": "touch", "key": "a"}',
    '{"op": "touch", "key": "a", "persist": false}',
    '{"op": "increment", "key": "a", "delta": 9007199254740993}',
    '{"op": "if", "key": "a"}',
    '{"op": "if", "key": "a", "version": 0}',
    '{"op": "if", "key": "a", "absent": true, "version": 1}',
    '{"op": "delete", "keyHex": "6"}',
    '{"op": "delete", "key": ""}',
    '["op"]',
  ].join("\n");
  const { code, stdout, stderr } = await kvix(["commit"], { input });
  assert.deepEqual([code, stdout.length], [2, 0]);
  for (const expected of [
    /^ {2}line 1 op is "put"; it must be one of if, set, delete, touch, increment$/m,
    /^ {2}line 2 lacks value or valueHex or valueBase64$/m,
    /^ {2}line 4 key does not go together with keyHex$/m,
    /^ {2}line 5 has fields that are none: "tll"$/m,
    /^ {2}line 6 value is 1; it must be text$/m,
    /^ {2}line 7 ttl is "5"; it must be more than 0, with a unit/m,
    /^ {2}line 8 lacks ttl, expireTime or persist$/m,
    /^ {2}line 9 persist is false; it must be true$/m,
    /^ {2}line 10 delta is .*; as text if it is beyond 2\^53$/m,
    /^ {2}line 11 lacks absent, present or version$/m,
    /^ {2}line 12 version is 0; it must be a whole number from 1/m,
    /^ {2}line 13 absent does not go together with version$/m,
    /^ {2}line 14: keyHex is not hexadecimal/m,
    /^ {2}line 15 key has 0 bytes; it must have 1 to 65535$/m,
    /^ {2}line 16 is no JSON object$/m,
  ]) {
    assert.match(stderr, expected);
  }
  const others: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ['{"op": "delete", "key": "a"', /line 1 is no JSON/],
    ['[{"op": "delete"', /the input is no JSON/],
    ['[{"op": "delete"}]', /\[0\] lacks key or keyHex or keyBase64/],
    ["\n \n", /the input is empty/],
    ["[]", /the input is empty/],
    [Buffer.from([0x7b, 0xff]), /FILE is not UTF-8/],
    [
      '{"op": "delete", "key": "a"}\n'.repeat(10_001),
      /10001 mutations; a commit has at most 10000/,
    ],
    ['{"op": "put"}\n'.repeat(1000), /line 20 op/],
  ];
  for (const [text, expected] of others) {
    const wrong = await kvix(["commit"], { input: text });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, expected);
    assert.doesNotMatch(wrong.stderr, /line 21 /);
  }
  const missing = await kvix(["commit", "/nowhere/x"]);
  assert.match(missing.stderr, /FILE cannot be read from \/nowhere\/x: ENOENT/);
  const twice = linesOf({ op: "delete", key: "a" }, { op: "delete", key: "a" });
  const refused = await kvix(["commit"], { input: twice });
  assert.deepEqual([refused.code, /FIELD_INVALID.*mutations\[1\]/.test(refused.stderr)], [2, true]);
  assert.equal(await storeVersion(), before);
});
