/** kvix inspect and kvix verify on the files of a real store: sound, damaged, and in use. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { openStore } from "../../src/engine/open-store.js";
import { nodeHost } from "../../src/host/node-host.js";
import { RpcClient } from "../../src/rpc/client.js";
import { jsonLinesOf, jsonOf, type RunResult, run, runInside } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";

const folder = makeFolder();
const original = join(folder.path, "original");
let copies = 0;

/** A closed store of several segments with hints. */
before(async () => {
  const options = { dataDir: original, segmentBytesMax: 900, liftFloors: true };
  const store = await openStore(options, nodeHost());
  const never = { kind: "never" } as const;
  for (let each = 0; each < 60; each += 1) {
    await store.set(Buffer.from(`key-${each % 40}`), Buffer.from(`value ${each}`), never);
  }
  await store.set(Buffer.from("soon"), Buffer.from("1"), { kind: "ttl", ttlMs: 3_600_000 });
  await store.delete(Buffer.from("key-1"));
  await store.commit([
    { kind: "set", key: Buffer.from("b1"), value: Buffer.from([0, 255]) },
    { kind: "delete", key: Buffer.from("key-2") },
  ]);
  await store.hintsWritten();
  await store.close();
});
after(() => folder.remove());

function copy(): string {
  copies += 1;
  const path = join(folder.path, `copy-${copies}`);
  cpSync(original, path, { recursive: true });
  return path;
}

function filesOf(dataDir: string, ending: string): string[] {
  const directory = join(dataDir, "segments");
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(directory, name));
}

function flipBit(path: string, byte: number): void {
  const bytes = readFileSync(path);
  bytes[byte] = (bytes[byte] as number) ^ 4;
  writeFileSync(path, bytes);
}

/** Every file and directory with its bytes and times. */
function snapshot(path: string): Map<string, string> {
  const seen = new Map<string, string>();
  for (const name of ["", ...(readdirSync(path, { recursive: true }) as string[])]) {
    const full = join(path, name);
    const facts = statSync(full);
    const bytes = facts.isFile() ? readFileSync(full).toString("base64") : "";
    seen.set(name, `${facts.mtimeMs} ${facts.ctimeMs} ${facts.mode} ${facts.ino} ${bytes}`);
  }
  return seen;
}

type Json = Readonly<Record<string, unknown>>;

function findingsOf(result: RunResult): Json[] {
  return jsonOf(result)["findings"] as Json[];
}

test("verify calls a closed store sound, and changes not a byte and not a time of it", async () => {
  const dataDir = copy();
  const before = snapshot(dataDir);
  const text = await run(["verify", dataDir]);
  assert.deepEqual([text.code, text.stderr], [0, ""]);
  assert.match(
    text.stdout.toString(),
    /^sound: \d+ segments, .*, 64 records, closed properly, 0 notes\n$/,
  );
  const json = await runInside(["verify", dataDir, "--json"]);
  assert.deepEqual([jsonOf(json)["ok"], findingsOf(json)], [true, []]);
  assert.deepEqual(snapshot(dataDir), before);
});

test("verify says of damage where it is, which key it was, what it means and what to do, and changes nothing", async () => {
  const dataDir = copy();
  const [first = ""] = filesOf(dataDir, ".seg");
  flipBit(first, 30);
  const before = snapshot(dataDir);
  const { code, stdout } = await run(["verify", dataDir]);
  assert.equal(code, 6);
  const text = stdout.toString();
  for (const expected of [
    /^DAMAGE FRAMES_DAMAGED: bytes do not match their checksum/m,
    new RegExp(`where: +${first}, \\d+ bytes at 0$`, "m"),
    /versions: 1 to 1$/m,
    /key: +key-0 \(version 1\)$/m,
    /to do: +Check the disk\. Restore the records/m,
    /^DAMAGED: 1 damages and 0 notes in/m,
  ]) {
    assert.match(text, expected);
  }
  const json = await runInside(["verify", dataDir, "--json", "--hex"]);
  assert.equal(json.code, 6);
  const [finding] = findingsOf(json);
  assert.deepEqual([finding?.["severity"], finding?.["kind"]], ["damage", "FRAMES_DAMAGED"]);
  assert.deepEqual(finding?.["keys"], [
    { keyHex: Buffer.from("key-0").toString("hex"), version: 1, isCertain: true },
  ]);
  assert.deepEqual(snapshot(dataDir), before);
});

test("verify refuses a store that a server has open, and one that is none", async () => {
  const dataDir = copy();
  const server = await ServerProcess.start(dataDir);
  const { code, stderr } = await run(["verify", dataDir]);
  assert.equal(code, 7);
  assert.match(stderr, /^kvix verify: STORE_LOCKED: .*\. Stop the other process.*\n$/);
  await server.end("SIGTERM");
  const again = await run(["verify", dataDir]);
  assert.equal(again.code, 0, again.stdout.toString());
  const empty = join(folder.path, "empty");
  mkdirSync(empty);
  const none = await runInside(["verify", empty]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /OPEN_FAILED.*holds no store/);
  assert.deepEqual(readdirSync(empty), []);
});

test("verify tells a lost manifest, a spoilt hint, a short segment and a stray file apart", async () => {
  const dataDir = copy();
  const [first = "", second = ""] = filesOf(dataDir, ".seg");
  const [, , hint = ""] = filesOf(dataDir, ".hint");
  truncateSync(first, 100);
  flipBit(hint, 60);
  copyFileSync(second, join(dataDir, "segments", "segment_00999_5.seg"));
  writeFileSync(join(dataDir, "notes.txt"), "mine");
  const result = await runInside(["verify", dataDir, "--json"]);
  assert.equal(result.code, 6);
  const kinds = findingsOf(result).map(({ kind, severity }) => `${severity} ${kind}`);
  assert.ok(kinds.includes("damage SEGMENT_SHORT"), kinds.join());
  assert.ok(kinds.includes("note HINT_DAMAGED"));
  assert.equal(kinds.filter((kind) => kind === "note STRAY_FILE").length, 2);
  const lost = copy();
  writeFileSync(join(lost, "MANIFEST"), "garbage");
  const without = await runInside(["verify", lost, "--json"]);
  assert.equal(without.code, 6);
  assert.deepEqual(
    findingsOf(without).map(({ kind }) => kind),
    ["MANIFEST_DAMAGED"],
  );
});

test("inspect shows every frame of a segment, and around damage all the others", async () => {
  const dataDir = copy();
  const [first = ""] = filesOf(dataDir, ".seg");
  const sound = jsonLinesOf(await runInside(["inspect", first, "--json", "--values"]));
  const frames = sound.filter(({ type }) => type === "frame");
  assert.deepEqual(
    frames.slice(0, 2).map(({ key, value, version, kind }) => [key, value, version, kind]),
    [
      ["key-0", "value 0", 1, "value"],
      ["key-1", "value 1", 2, "value"],
    ],
  );
  const summary = sound.at(-1) ?? {};
  assert.equal(summary["type"], "summary");
  assert.equal(summary["frames"], frames.length);
  assert.equal(summary["fileBytes"], statSync(first).size);
  flipBit(first, Number(frames[1]?.["offset"]) + 20);
  const damaged = await runInside(["inspect", first, "--json"]);
  assert.equal(damaged.code, 6);
  const left = jsonLinesOf(damaged);
  assert.equal(left.filter(({ type }) => type === "frame").length, frames.length - 1);
  const [mark] = left.filter(({ type }) => type === "damage");
  assert.deepEqual(
    [mark?.["offset"], mark?.["length"]],
    [frames[1]?.["offset"], frames[1]?.["length"]],
  );
  const text = await runInside(["inspect", first]);
  assert.match(text.stdout.toString(), /^ +\d+ +\d+ {2}DAMAGED$/m);
  assert.match(text.stdout.toString(), /^ +0 +\d+ {2}value, barrier +1 {2}\S+Z +7 {2}key-0$/m);
  assert.match(text.stdout.toString(), /1 damaged ranges, \d+ bytes/);
  const few = jsonLinesOf(
    await runInside(["inspect", filesOf(original, ".seg")[0] ?? "", "--json", "--limit", "2"]),
  );
  assert.equal(few.filter(({ type }) => type === "frame").length, 2);
});

test("inspect shows batches with their members, hints, manifests and marks", async () => {
  const last = filesOf(original, ".seg").at(-1) ?? "";
  const lines = jsonLinesOf(await runInside(["inspect", last, "--json", "--values"]));
  const batch = lines.find(({ kind }) => kind === "batch");
  const members = batch?.["members"] as Json[];
  assert.deepEqual(
    members.map(({ key, kind, valueBase64 }) => [key, kind, valueBase64]),
    [
      ["b1", "value", "AP8="],
      ["key-2", "tombstone", undefined],
    ],
  );
  const text = (await runInside(["inspect", last])).stdout.toString();
  assert.match(text, /- tombstone/);
  const [hint = ""] = filesOf(original, ".hint");
  const [head, ...entries] = jsonLinesOf(await runInside(["inspect", hint, "--json"]));
  assert.deepEqual([head?.["type"], head?.["entries"]], ["hint", entries.length]);
  assert.ok(entries.some(({ key, version }) => key === "key-0" && version === 1));
  const manifest = jsonOf(await runInside(["inspect", join(original, "MANIFEST"), "--json"]));
  const segments = manifest["segments"] as Json[];
  assert.equal(segments.length, filesOf(original, ".seg").length);
  const mark = jsonOf(await runInside(["inspect", join(original, "segments", "STORE"), "--json"]));
  assert.equal(mark["storeId"], manifest["storeId"]);
  for (const file of [hint, join(original, "MANIFEST"), join(original, "segments", "STORE")]) {
    assert.match((await runInside(["inspect", file])).stdout.toString(), /^store +[0-9a-f]{32}$/m);
  }
});

test("inspect works beside a server that writes, and takes no lock", async (t) => {
  const server = await ServerProcess.start(join(folder.path, "served"));
  t.after(() => server.end("SIGKILL"));
  const client = new RpcClient(server.address);
  t.after(() => client.close());
  const put = (each: number) =>
    client.call(KvService.method.set, { key: Buffer.from(`k${each}`), value: Buffer.alloc(100) });
  await put(0);
  let isDone = false;
  const writing = (async () => {
    for (let each = 1; !isDone; each += 1) await put(each);
  })();
  const [active = ""] = filesOf(join(folder.path, "served"), ".seg");
  for (let round = 0; round < 3; round += 1) {
    const { code, stdout, stderr } = await run(["inspect", active]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout.toString(), /^\d+ frames in/m);
  }
  isDone = true;
  await writing;
});

test("inspect says what it needs when it cannot tell which store a segment is of", async () => {
  const [first = ""] = filesOf(original, ".seg");
  const lone = join(folder.path, basename(first));
  copyFileSync(first, lone);
  const { code, stderr } = await runInside(["inspect", lone]);
  assert.equal(code, 7);
  assert.match(stderr, /--store-id/);
  const { storeId } = jsonOf(await runInside(["inspect", join(original, "MANIFEST"), "--json"]));
  const told = await runInside(["inspect", lone, "--store-id", String(storeId)]);
  assert.equal(told.code, 0);
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["inspect", folder.path], /is a directory; inspect takes a file/],
    [["inspect", "/nowhere"], /\/nowhere cannot be opened: ENOENT/],
    [["inspect", process.execPath], /is no segment, hint or manifest/],
    [["inspect", lone, "--store-id", "ab"], /--store-id has 1 bytes; it must have 16/],
    [["inspect", lone, "--limit", "x"], /--limit is "x"; it must be a whole number/],
  ];
  for (const [args, expected] of wrong) {
    const result = await runInside(args);
    assert.equal(result.code, 2, args.join(" "));
    assert.match(result.stderr, expected);
  }
  const spoilt = copy();
  flipBit(join(spoilt, "MANIFEST"), 50);
  const manifest = await runInside(["inspect", join(spoilt, "MANIFEST")]);
  assert.equal(manifest.code, 6);
  assert.match(manifest.stderr, /the manifest is damaged: a wrong checksum.*kvix repair/);
  const [hint = ""] = filesOf(spoilt, ".hint");
  flipBit(hint, 70);
  const damaged = await runInside(["inspect", hint]);
  assert.equal(damaged.code, 6);
  assert.match(damaged.stderr, /the hint is damaged.*No data is lost/);
});
