/**
 * Keys and values in and out of the command, byte by byte: in a process of its own where
 * they go through its arguments and its pipes.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { DownloadResponseSchema, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { crc32 } from "../../src/format/checksum.js";
import { RpcClient } from "../../src/rpc/client.js";
import { type Client, clientOf, jsonOf, runInside, runShell } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { endWith, scriptedServer, sendMessage } from "../support/scripted-server.js";
import { ServerProcess } from "../support/server-process.js";
import { SimRandom } from "../support/sim-random.js";

const folder = makeFolder();
let server: ServerProcess;
let kvix: Client;
let spawned: Client;
let direct: RpcClient;

before(async () => {
  server = await ServerProcess.start(join(folder.path, "data"));
  kvix = clientOf(server.address, runInside);
  spawned = clientOf(server.address);
  direct = new RpcClient(server.address);
});
after(async () => {
  direct.close();
  await server.end("SIGKILL");
  folder.remove();
});

/** What the store has under a key, without the command. */
async function stored(key: Uint8Array): Promise<Buffer | undefined> {
  const { record } = await direct.call(KvService.method.get, { key });
  return record === undefined ? undefined : Buffer.from(record.value);
}

async function store(key: Uint8Array, value: Uint8Array): Promise<void> {
  await direct.call(KvService.method.set, { key, value });
}

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
    const by = input === undefined ? kvix : spawned;
    const set = await by(args, input === undefined ? {} : { input });
    assert.equal(set.code, 0, set.stderr);
    assert.deepEqual(await stored(Buffer.from("key")), Buffer.from(everyByte), args.join(" "));
    await direct.call(KvService.method.delete, { key: Buffer.from("key") });
  }
});

test("I6: what comes out of a pipe is the value and nothing else, in every way to ask for it", async () => {
  await store(Buffer.from("every"), everyByte);
  const path = join(folder.path, "out");
  const toFile = await kvix(["get", "every", "--file", path]);
  assert.deepEqual([toFile.stdout.length, toFile.stderr], [0, ""]);
  assert.deepEqual(readFileSync(path), Buffer.from(everyByte));
  const raw = await spawned(["get", "--hex", "6576657279", "--file", "-"]);
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
  const keys = ["00", "ff", "c3a9", "65cc81", "2d2d68656c70", "0a5c6e"];
  for (const key of keys) await store(Buffer.from(key, "hex"), Buffer.from(key));
  for (const key of keys) {
    const got = await kvix(["get", "--hex", key, "--file", "-"]);
    assert.equal(got.stdout.toString(), key);
  }
  const composed = await spawned(["get", "\u00e9", "--json"]);
  assert.equal(jsonOf(composed)["value"], "c3a9");
  const dashed = await kvix(["get", "--", "--help"]);
  assert.equal(dashed.stdout.toString(), "2d2d68656c70");
});

test("I6: an empty value, a line feed at the end and a megabyte come back as they are", async () => {
  const random = new SimRandom(3);
  const values = [Buffer.alloc(0), Buffer.from("a\n"), Buffer.from("\n"), random.bytes(3_000_000)];
  for (const value of values) {
    const set = await spawned(["set", "value", "-"], { input: value });
    assert.equal(set.code, 0, set.stderr);
    assert.ok((await stored(Buffer.from("value")))?.equals(value));
    const { stdout } = await spawned(["get", "value"]);
    assert.ok(stdout.equals(value), `${value.length} bytes`);
  }
  const empty = await spawned(["set", "value", ""]);
  assert.equal(empty.code, 0);
  assert.deepEqual(jsonOf(await kvix(["get", "value", "--json"]))["value"], "");
});

test("I6: a value that is too large for a message goes and comes in pieces, byte by byte", async () => {
  const value = new SimRandom(4).bytes(5_000_000);
  const path = join(folder.path, "large");
  writeFileSync(path, value);
  const set = await spawned(["set", "large", "-", "--ttl", "1h"], { input: value });
  assert.equal(set.code, 0, set.stderr);
  assert.match(set.stdout.toString(), /^set version \d+ expires \S+Z\n$/);
  const { code, stdout, stderr } = await spawned(["get", "large"]);
  assert.deepEqual([code, stderr, stdout.equals(value)], [0, "", true]);
  const kept = jsonOf(await kvix(["set", "large", "--file", path, "--keep-ttl", "--json"]));
  assert.deepEqual([kept["applied"], typeof kept["expireTime"]], [true, "string"]);
  const out = join(folder.path, "large-out");
  assert.equal((await kvix(["get", "large", "--file", out])).code, 0);
  assert.ok(readFileSync(out).equals(value));
  const json = jsonOf(await kvix(["get", "large", "--json"]));
  assert.deepEqual([json["found"], json["version"]], [true, kept["version"]]);
  assert.ok(Buffer.from(String(json["valueBase64"]), "base64").equals(value));
  const unmet = await kvix(["set", "large", "--file", path, "--if-absent"]);
  assert.equal(unmet.code, 4);
  assert.match(unmet.stderr, /^kvix set: not applied.*the key has version \d+ expires/);
  const several = await kvix(["get", "large", "large"]);
  assert.equal(several.code, 7);
  assert.match(several.stderr, /too large for an answer, get them one by one: large, large\n$/);
});

test("a large value beside --return-previous goes in one message, or is refused with what to do", async () => {
  const line = ["set", "previous", "-", "--return-previous"];
  const { code, stderr } = await kvix(line, { input: Buffer.alloc(5_000_000) });
  assert.equal(code, 7);
  assert.match(stderr, /^kvix set: .*--max-message-bytes.*\n$/);
  assert.equal((await kvix(["exists", "previous"])).code, 3);
});

type Part = NonNullable<MessageInitShape<typeof DownloadResponseSchema>["part"]>;

test("of a download that does not come to a sound end nothing is printed", async (t) => {
  const record = { key: Buffer.from("k"), version: 1n };
  const header: Part = { case: "header", value: { record, valueBytes: 3n } };
  const chunk: Part = { case: "chunk", value: Buffer.from("abc") };
  const end: Part = { case: "end", value: { crc32: crc32(Buffer.from("abc")) } };
  const wrong: Part = { case: "end", value: { crc32: 1 } };
  /** What `kvix get k` makes of these parts. */
  const got = async (...parts: readonly Part[]) => {
    const address = await scriptedServer(t, (call, path) => {
      if (path.endsWith("/Get")) return endWith(call, new KvixError("RECORD_TOO_LARGE"));
      for (const part of parts) sendMessage(call, DownloadResponseSchema, { part });
      endWith(call);
    });
    return await runInside(["get", "k", "--endpoint", address]);
  };
  const sound = await got(header, chunk, end);
  assert.deepEqual([sound.code, sound.stdout.toString()], [0, "abc"]);
  const unsound: readonly (readonly Part[])[] = [
    [],
    [header],
    [header, chunk],
    [header, chunk, wrong],
    [header, chunk, chunk],
    [header, end],
  ];
  for (const parts of unsound) {
    const { code, stdout, stderr } = await got(...parts);
    assert.deepEqual([code, stdout.length], [5, 0]);
    assert.match(stderr, /^kvix get: the download broke: .*\. Try again\.\n$/);
  }
});

test("JSON has text as text and other bytes as base64, or all of it in the form asked for", async () => {
  await store(Buffer.from("plain"), Buffer.from("text"));
  await store(Buffer.from("ff00", "hex"), Buffer.from("fe", "hex"));
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
    const { code, stdout, stderr } = await runInside(args);
    assert.equal(code, 2, args.join(" "));
    assert.equal(stdout.length, 0);
    assert.match(stderr, expected);
  }
});

test("a disk that is full where the value goes ends the command with 1", async () => {
  await store(Buffer.from("filler"), Buffer.alloc(100_000));
  const { code, stderr } = runShell("kvix get filler > /dev/full", {
    environment: { KVIX_ENDPOINT: server.address },
  });
  assert.equal(code, 1);
  assert.match(stderr, /^kvix get: .*ENOSPC.*\n$/);
});
