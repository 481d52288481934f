/** Readers that go away, and people who read along on a terminal. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { runShell, runTerminal } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";

const folder = makeFolder();
const dataDir = join(folder.path, "data");
let server: ServerProcess;
let environment: Readonly<Record<string, string>>;

before(async () => {
  server = await ServerProcess.start(dataDir);
  environment = { KVIX_ENDPOINT: server.address };
  const client = new RpcClient(server.address);
  const store = (key: string, value: Uint8Array) =>
    client.call(KvService.method.set, { key: Buffer.from(key), value });
  await store("large", Buffer.alloc(3_000_000, "x"));
  await store("text", Buffer.from("hello"));
  await store("line", Buffer.from("hello\n"));
  await store("evil", Buffer.from("\u001b[31mred\u202e\u0000"));
  client.close();
});
after(async () => {
  await server.end("SIGKILL");
  folder.remove();
});

test("a reader that goes away ends the command quietly and with 0", () => {
  for (const line of [
    "kvix get large | head -c 5",
    "kvix get large --json | head -c 5",
    "kvix get --hex 6c61726765 | true",
  ]) {
    const { code, stderr } = runShell(line, { environment });
    assert.deepEqual([code, stderr], [0, ""], line);
  }
});

test("the inspection of a file ends as quietly", () => {
  const line = `kvix inspect ${dataDir}/segments/*.seg --values --json | head -c 5`;
  const { code, stderr } = runShell(line);
  assert.deepEqual([code, stderr], [0, ""]);
});

test("on a terminal a value ends with one line feed", () => {
  assert.equal(runTerminal("kvix get text", { environment }).stdout, "hello\n");
  assert.equal(runTerminal("kvix get line", { environment }).stdout, "hello\n");
  assert.equal(runTerminal("kvix get text | cat", { environment }).stdout, "hello");
});

test("on a terminal a value that is no text is escaped, so that it cannot steer the terminal", () => {
  const { stdout } = runTerminal("kvix get evil", { environment });
  assert.ok(stdout.includes("\\x1b[31mred\\u{202e}\\x00\n"), JSON.stringify(stdout));
  assert.match(stdout, /the value is no text; it is shown escaped/);
  assert.ok(!stdout.includes("\u001b[31m") && !stdout.includes("\u202e"));
});

test("on a terminal the log is for people, elsewhere it is JSON, and both are to be had by option", () => {
  let count = 0;
  // Opening makes the manifest, and by then a signal is heard.
  const stopped = (log: string): string => {
    count += 1;
    const path = join(folder.path, `log-${count}`);
    const serve = `"\${KVIX[@]}" serve --data-dir ${path} --listen 127.0.0.1:0 ${log} & pid=$!`;
    const wait = `for i in {1..200}; do [ -e ${path}/MANIFEST ] && break; sleep 0.1; done`;
    return `${serve}; ${wait}; kill -TERM $pid; wait $pid`;
  };
  const pretty = runTerminal(stopped("")).stdout;
  assert.match(pretty, /INFO.*: .*serving/);
  assert.match(pretty, /durability/);
  assert.match(pretty, /INFO.*: .*stopped/);
  const json = runTerminal(stopped("--log-format json")).stdout;
  const lines = json
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("{"));
  assert.ok(lines.some((line) => JSON.parse(line).msg === "stopped"));
  const asked = runShell(stopped("--log-format pretty"));
  assert.match(asked.stderr, /INFO: serving/);
  assert.ok(!asked.stderr.includes("\u001b["), "no colours where there is no terminal");
});

test("a progress bar is drawn on a terminal only, and taken away at the end", async () => {
  const path = join(folder.path, "closed");
  mkdirSync(path);
  const other = await ServerProcess.start(path);
  const client = new RpcClient(other.address);
  const value = Buffer.alloc(1_000_000, "v");
  for (const key of ["a", "b", "c"]) {
    await client.call(KvService.method.set, { key: Buffer.from(key), value });
  }
  client.close();
  await other.end("SIGTERM");
  const shown = runTerminal(`kvix verify ${path}`);
  assert.equal(shown.code, 0);
  assert.match(shown.stdout, /verifying .*100%/);
  assert.match(shown.stdout, /sound: 1 segments/);
  const hidden = runTerminal(`kvix verify ${path} --no-progress`);
  assert.doesNotMatch(hidden.stdout, /verifying/);
  const piped = runShell(`kvix verify ${path}`);
  assert.deepEqual([piped.code, piped.stderr], [0, ""]);
});
