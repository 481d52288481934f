/** Keys and values in and out of the real command, byte by byte. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Client, clientOf, jsonOf, runShell } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";
import { SimRandom } from "../support/sim-random.js";

const folder = makeFolder();
let server: ServerProcess;
let kvix: Client;

before(async () => {
  server = await ServerProcess.start(join(folder.path, "data"));
  kvix = clientOf(server.address);
});
after(async () => {
  await server.end("SIGKILL");
  folder.remove();
});

const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);

test("I6: all 256 bytes come back from stdin, from a file, and from hex and base64", async () => {
  const path = join(folder.path, "every-byte");
  writeFileSync(path, everyByte);
  const ways: readonly (readonly [string[], Uint8Array?])[] = [
    [["set", "key", "-"], everyByte],
    [["set", "key", "--file", "-"], everyByte],
    [["set", "key", "--file", path]],
    [["set", "--hex", "6b6579", Buffer.from(everyByte).toString("hex")]],
    [["set", "--base64", "a2V5", Buffer.from(everyByte).toString("base64")]],
  ];
  for (const [args, input] of ways) {
    const set = await kvix(args, input === undefined ? {} : { input });
    assert.equal(set.code, 0, set.stderr);
    const got = await kvix(["get", "key"]);
    assert.deepEqual(got.stdout, Buffer.from(everyByte), args.join(" "));
    await kvix(["delete", "key"]);
  }
});

test("I6: what comes out of a pipe is the value and nothing else, in every way to ask for it", async () => {
  await kvix(["set", "every", "-"], { input: everyByte });
  const path = join(folder.path, "out");
  const toFile = await kvix(["get", "every", "--file", path]);
  assert.deepEqual([toFile.stdout.length, toFile.stderr], [0, ""]);
  assert.deepEqual(readFileSync(path), Buffer.from(everyByte));
  const raw = await kvix(["get", "--hex", "6576657279", "--file", "-"]);
  assert.deepEqual(raw.stdout, Buffer.from(everyByte));
  const hex = await kvix(["get", "--hex", "6576657279"]);
  assert.equal(hex.stdout.toString(), `${Buffer.from(everyByte).toString("hex")}\n`);
  const base64 = await kvix(["get", "--base64", "ZXZlcnk="]);
  assert.equal(base64.stdout.toString(), `${Buffer.from(everyByte).toString("base64")}\n`);
  const redirected = runShell(`kvix get every > ${path}`, {
    environment: { KVIX_ENDPOINT: server.address },
  });
  assert.equal(redirected.code, 0);
  assert.deepEqual(readFileSync(path), Buffer.from(everyByte));
});

test("I5: keys of any bytes are told apart, and no text is mistaken for other bytes", async () => {
  for (const key of ["00", "ff", "c3a9", "65cc81", "2d2d68656c70", "0a", "5c6e"]) {
    const set = await kvix(["set", "--hex", key, key]);
    assert.equal(set.code, 0, set.stderr);
  }
  for (const key of ["00", "ff", "c3a9", "65cc81", "2d2d68656c70", "0a", "5c6e"]) {
    const got = await kvix(["get", "--hex", key]);
    assert.equal(got.stdout.toString(), `${key}\n`);
  }
  const composed = await kvix(["get", "\u00e9", "--json"]);
  assert.equal(jsonOf(composed)["value"], "\u00e9");
  const dashed = await kvix(["get", "--", "--help"]);
  assert.equal(dashed.stdout.toString(), "--help");
});

test("I6: an empty value, a line feed at the end and a megabyte come back as they are", async () => {
  const random = new SimRandom(3);
  const values = [Buffer.alloc(0), Buffer.from("a\n"), Buffer.from("\n"), random.bytes(3_000_000)];
  for (const value of values) {
    const set = await kvix(["set", "value", "-"], { input: value });
    assert.equal(set.code, 0, set.stderr);
    const { stdout } = await kvix(["get", "value"]);
    assert.ok(stdout.equals(value), `${value.length} bytes`);
  }
  const empty = await kvix(["set", "value", ""]);
  assert.equal(empty.code, 0);
  assert.deepEqual(jsonOf(await kvix(["get", "value", "--json"]))["value"], "");
});

test("a record larger than the server's messages is refused with what to do, and nothing is cut", async () => {
  const { code, stderr } = await kvix(["set", "large", "-"], { input: Buffer.alloc(5_000_000) });
  assert.equal(code, 7);
  assert.match(stderr, /^kvix set: .*--max-message-bytes.*\n$/);
  assert.equal((await kvix(["exists", "large"])).code, 3);
});

test("JSON has text as text and other bytes as base64, or all of it in the form asked for", async () => {
  await kvix(["set", "plain", "text"]);
  await kvix(["set", "--hex", "ff00", "fe"]);
  const plain = jsonOf(await kvix(["get", "plain", "--json"]));
  assert.deepEqual([plain["key"], plain["value"]], ["plain", "text"]);
  const other = jsonOf(await kvix(["get", "--hex", "ff00", "--json"]));
  assert.deepEqual([other["keyHex"], other["valueHex"]], ["ff00", "fe"]);
  const base64 = jsonOf(await kvix(["get", "--base64", "/wA=", "--json"]));
  assert.deepEqual([base64["keyBase64"], base64["valueBase64"]], ["/wA=", "/g=="]);
});

test("arguments that are not what they are said to be are refused by name", async () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["get", "--hex", "abc"], /KEY is not hexadecimal/],
    [["get", "--base64", "abc"], /KEY is not base64/],
    [["set", "--hex", "00", "zz"], /VALUE is not hexadecimal/],
    [["get", "\ufffd"], /KEY is not UTF-8.*--hex/],
    [["get", ""], /KEY is empty; it must have 1 to 65535 bytes/],
    [["get", "k".repeat(65_536)], /KEY has 65536 bytes/],
    [["set", "k"], /VALUE is missing/],
    [["set", "k", "v", "--file", "x"], /VALUE does not go together with --file/],
    [["set", "k", "--file", "/nowhere/x"], /--file cannot be read from \/nowhere\/x: ENOENT/],
    [["get", "k", "--hex", "--base64"], /--hex does not go together with --base64/],
    [["get", "k", "--json", "--file", "x"], /--json does not go together with --file/],
  ];
  for (const [args, expected] of cases) {
    const { code, stdout, stderr } = await kvix(args);
    assert.equal(code, 2, args.join(" "));
    assert.equal(stdout.length, 0);
    assert.match(stderr, expected);
  }
});

test("a disk that is full where the value goes ends the command with 1", async () => {
  await kvix(["set", "filler", "-"], { input: Buffer.alloc(100_000) });
  const { code, stderr } = runShell("kvix get filler > /dev/full", {
    environment: { KVIX_ENDPOINT: server.address },
  });
  assert.equal(code, 1);
  assert.match(stderr, /^kvix get: .*ENOSPC.*\n$/);
});
