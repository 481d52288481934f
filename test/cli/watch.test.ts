/** `kvix watch` against a real server: what it prints, from where on, and how it ends. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WatchEventKind, WatchResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { type Client, clientOf, jsonLinesOf, jsonOf, runInside } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { RunningCommand } from "../support/running-command.js";
import { endWith, scriptedServer, sendMessage } from "../support/scripted-server.js";
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

async function versionOf(key: string): Promise<number> {
  return Number(jsonOf(await kvix(["exists", key, "--json"]))["version"]);
}

test("watch prints what was changed after a version, of a key, a prefix or a range", async () => {
  await kvix(["set", "w/1", "one"]);
  const first = await versionOf("w/1");
  await kvix(["set", "--hex", "772f32", "0aff"]);
  await kvix(["delete", "w/1"]);
  await kvix(["set", "x", "other"]);
  const last = await versionOf("x");
  const from = ["--after", String(first - 1)];
  const all = await kvix(["watch", ...from, "--prefix", "w/", "--limit", "3"]);
  assert.equal(all.code, 0);
  assert.equal(
    all.stdout.toString(),
    `${first}\tset\tw/1\tone\n${first + 1}\tset\tw/2\t\\n\\xff\n${first + 2}\tdelete\tw/1\n`,
  );
  // How far a message reaches beyond its last change is the server's.
  const reached = Number(/^kvix watch: ended; go on with --after (\d+)\n$/.exec(all.stderr)?.[1]);
  assert.ok(reached >= first + 2 && reached <= last, all.stderr);
  const key = await kvix(["watch", "w/1", ...from, "--keys-only", "--limit", "2"]);
  assert.equal(key.stdout.toString(), `${first}\tset\tw/1\n${first + 2}\tdelete\tw/1\n`);
  const range = await kvix(["watch", "--start", "w/2", ...from, "--limit", "2", "--json"]);
  const [set, other] = jsonLinesOf(range);
  assert.deepEqual([set?.["kind"], set?.["key"], set?.["valueBase64"]], ["set", "w/2", "Cv8="]);
  assert.deepEqual([other?.["key"], other?.["version"]], ["x", last]);
  const gone = jsonLinesOf(await kvix(["watch", "w/1", ...from, "--limit", "2", "--json"]))[1];
  assert.deepEqual(Object.keys(gone ?? {}).sort(), ["key", "kind", "updateTime", "version"]);
  assert.equal(gone?.["kind"], "delete");
});

test("watch --include-current prints the records that stand, then what changes", async (t) => {
  await kvix(["set", "i/a", "1"]);
  await kvix(["set", "i/b", "2"]);
  const [a, b] = [await versionOf("i/a"), await versionOf("i/b")];
  const line = ["watch", "--prefix", "i/", "--include-current"];
  const watch = new RunningCommand(line, server.address);
  t.after(() => watch.signal("SIGKILL"));
  await watch.until(() => watch.out.length === 2);
  await kvix(["set", "i/c", "3"]);
  await watch.until(() => watch.out.length === 3);
  watch.signal("SIGINT");
  assert.equal(await watch.ended, 0);
  const c = await versionOf("i/c");
  assert.deepEqual(watch.out, [
    `${a}\tcurrent\ti/a\t1`,
    `${b}\tcurrent\ti/b\t2`,
    `${c}\tset\ti/c\t3`,
  ]);
  assert.deepEqual(watch.err, [`kvix watch: ended; go on with --after ${c}`]);
});

test("a limit inside a commit ends at a version that the rest of it comes after", async () => {
  await kvix(["set", "l/0", "before"]);
  const version = await versionOf("l/0");
  const input = ["l/1", "l/2", "l/3"]
    .map((key) => JSON.stringify({ op: "set", key, value: key }))
    .join("\n");
  await kvix(["commit"], { input });
  const from = (after: number) => ["watch", "--prefix", "l/", "--after", String(after)];
  const part = await kvix([...from(version), "--limit", "2"]);
  assert.equal(part.stderr, `kvix watch: ended; go on with --after ${version + 2}\n`);
  const rest = await kvix([...from(version + 2), "--limit", "1"]);
  assert.equal(rest.stdout.toString(), `${version + 3}\tset\tl/3\tl/3\n`);
});

test("a time that is up ends a watch as Ctrl-C does, with the version it has come to", async () => {
  await kvix(["set", "quiet", "1"]);
  const version = await versionOf("quiet");
  const { code, stdout, stderr } = await kvix(["watch", "nobody", "--timeout", "1500ms"]);
  assert.deepEqual([code, stdout.length], [0, 0]);
  assert.equal(stderr, `kvix watch: ended; go on with --after ${version}\n`);
});

test("a history that is no longer there ends a watch with 7, and no advice to go on", async () => {
  const { code, stderr } = await kvix(["watch", "--after", "281474976710655"]);
  assert.equal(code, 7);
  assert.match(stderr, /^kvix watch: HISTORY_LOST: .*read anew/);
  assert.doesNotMatch(stderr, /Go on with/);
});

test("what a watch cannot be asked is refused by name", async () => {
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["watch", "k", "--prefix", "p"], /KEY does not go together with --prefix, --start or --end/],
    [["watch", "--prefix", "p", "--end", "q"], /--prefix does not go together/],
    [["watch", "--after", "1", "--include-current"], /--after does not go together/],
    [["watch", "--after", "-1"], /--after is "-1"; it must be a whole number from 0/],
    [["watch", "--limit", "0"], /--limit is "0"/],
    [["watch", ""], /KEY is empty/],
  ];
  for (const [args, expected] of wrong) {
    const { code, stderr } = await kvix(args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, expected);
  }
});

/** A message with one change. */
const change = (version: bigint) => ({
  events: [{ kind: WatchEventKind.SET, record: { key: Buffer.from(`k${version}`), version } }],
  version,
});

test("a watch goes on by itself when the server says that the trouble passes, and says so once", async (t) => {
  let calls = 0;
  const address = await scriptedServer(t, (call) => {
    calls += 1;
    if (calls === 1) sendMessage(call, WatchResponseSchema, change(5n));
    if (calls === 4) return sendMessage(call, WatchResponseSchema, change(6n));
    sendMessage(call, WatchResponseSchema, { version: 0n });
    endWith(call, new KvixError(calls === 2 ? "STORE_STARTING" : "OVERLOADED"));
  });
  const line = ["watch", "--endpoint", address, "--keys-only", "--limit", "2"];
  const { code, stdout, stderr } = await runInside(line);
  assert.equal(code, 0);
  assert.equal(stdout.toString(), "5\tset\tk5\n6\tset\tk6\n");
  assert.match(stderr, /OVERLOADED: .*Going on after version 5 as soon as I can\n/);
  assert.match(stderr, /ended; go on with --after 6\n$/);
  assert.equal(calls, 4);
});

test("damage among the changes ends a watch with 6 and the version that all is told up to", async (t) => {
  const address = await scriptedServer(t, (call) => {
    sendMessage(call, WatchResponseSchema, change(5n));
    endWith(call, new KvixError("RECORD_CORRUPT"));
  });
  const { code, stdout, stderr } = await runInside(["watch", "--endpoint", address]);
  assert.deepEqual([code, stdout.toString()], [6, "5\tset\tk5\t\n"]);
  assert.match(stderr, /^kvix watch: RECORD_CORRUPT: .*\. Go on with --after 5\n$/);
});

test("a watch that is cut while it tells what stands ends with 5, for there is nothing to go on from", async (t) => {
  const address = await scriptedServer(t, (call) => {
    sendMessage(call, WatchResponseSchema, { ...change(5n), version: 0n, current: true });
    endWith(call, new KvixError("STORE_CLOSING"));
  });
  const line = ["watch", "--include-current", "--endpoint", address];
  const { code, stdout, stderr } = await runInside(line);
  assert.deepEqual([code, stdout.toString()], [5, "5\tcurrent\tk5\t\n"]);
  assert.match(stderr, /^kvix watch: STORE_CLOSING/);
  assert.doesNotMatch(stderr, /--after/);
});
