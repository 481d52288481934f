/**
 * What the kernel saw: fdatasync of the very bytes had returned before anyone
 * was told. Of the embedded store, and of the server over the wire.
 */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { isBefore, runTraced, startTraced, type TracedCall } from "../support/syscall-trace.js";
import { makeDataDir } from "./data-dir.js";

const writer = fileURLToPath(new URL("../support/durable-writer.js", import.meta.url));
const command = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const writeCalls = new Set(["write", "pwrite64", "writev", "pwritev"]);

const isSegment = (path: string | undefined): boolean => path?.endsWith(".seg") === true;

/** The append that carries a key, and the first sync of its file that began after it. */
function appendAndSync(calls: readonly TracedCall[], key: string): [TracedCall, TracedCall] {
  const append = calls.find(
    (each) => writeCalls.has(each.call) && isSegment(each.path) && each.text?.includes(key),
  );
  assert.ok(append, `the append of ${key} is in the trace`);
  const sync = calls.find(
    (each) => each.call === "fdatasync" && each.path === append.path && isBefore(append, each),
  );
  assert.ok(sync, `a sync after the append of ${key} is in the trace`);
  assert.equal(sync.result, 0);
  return [append, sync];
}

/** The sync of the segment directory after the segment's file was made. */
function directorySync(calls: readonly TracedCall[], segment: TracedCall): TracedCall {
  const made = calls.find(
    (each) =>
      each.call === "openat" && each.path === segment.path && each.given.includes("O_CREAT"),
  );
  assert.ok(made, `the making of ${segment.path} is in the trace`);
  const sync = calls.find(
    (each) =>
      each.call === "fsync" && each.path?.endsWith("/segments") === true && isBefore(made, each),
  );
  assert.ok(sync, "a sync of the directory after that is in the trace");
  return sync;
}

test("V1 D1 D2: fdatasync of the data, and fsync of the directory, return before the acknowledgement", async (t) => {
  const run = await runTraced([process.execPath, writer, makeDataDir(t), "24", "sync"]);
  assert.equal(run.exitCode, 0, run.stderr);
  const segments = new Set<string>();
  for (let index = 0; index < 24; index += 1) {
    const key = `key-${String(index).padStart(4, "0")}`;
    const [append, sync] = appendAndSync(run.calls, key);
    const told = run.calls.find((each) => each.call === "write" && each.text === `ack ${key}\n`);
    assert.ok(told, `the acknowledgement of ${key} is in the trace`);
    assert.ok(isBefore(sync, told), `${key} was acknowledged before it was durable`);
    assert.ok(isBefore(directorySync(run.calls, append), told), `${key}: the directory`);
    segments.add(append.path ?? "");
  }
  assert.ok(segments.size >= 3, "the run rolled over");
});

test("V1: the same program with buffered writes shows that this test can fail", async (t) => {
  const run = await runTraced([process.execPath, writer, makeDataDir(t), "3", "buffered"]);
  const [, sync] = appendAndSync(run.calls, "key-0001");
  const told = run.calls.find((each) => each.call === "write" && each.text === "ack key-0001\n");
  assert.ok(told && !isBefore(sync, told), "a buffered write is acknowledged before its sync");
});

test("V1 D1: over gRPC nothing is sent between the append and the return of its fdatasync", async (t) => {
  const dataDir = makeDataDir(t);
  const trace = await startTraced(
    [process.execPath, command, "serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0"],
    { timeoutMs: 60_000 },
  );
  const address = await listeningAddress(trace.program.stderr, t);
  const client = new RpcClient(address);
  for (let index = 0; index < 12; index += 1) {
    const key = new TextEncoder().encode(`wire-${String(index).padStart(4, "0")}`);
    await client.call(KvService.method.set, { key, value: key });
  }
  client.close();
  trace.program.kill("SIGTERM");
  const { calls } = await trace.finished;
  for (let index = 0; index < 12; index += 1) {
    const [append, sync] = appendAndSync(calls, `wire-${String(index).padStart(4, "0")}`);
    const early = calls.filter(
      (each) => isSocketWrite(each) && isBefore(append, each) && !isBefore(sync, each),
    );
    assert.deepEqual(early, [], `call ${index}: something was sent before the sync had returned`);
    const answer = calls.find((each) => isSocketWrite(each) && isBefore(sync, each));
    assert.ok(answer, `call ${index}: an answer was sent after the sync`);
  }
  assert.ok(readdirSync(join(dataDir, "segments")).some((name) => name.endsWith(".seg")));
});

function isSocketWrite(each: TracedCall): boolean {
  const isWrite = writeCalls.has(each.call) || each.call.startsWith("send");
  return isWrite && /^(socket:|TCP)/.test(each.path ?? "");
}

/** The address in the server's start-up line. */
async function listeningAddress(
  stderr: NodeJS.ReadableStream | null,
  t: TestContext,
): Promise<string> {
  assert.ok(stderr);
  let text = "";
  const timer = setTimeout(() => stderr.emit("error", new Error(`no address in: ${text}`)), 30_000);
  t.after(() => clearTimeout(timer));
  for (;;) {
    const address = /"address":"([^"]+)".*"msg":"serving"/.exec(text)?.[1];
    if (address !== undefined) return address;
    const [chunk] = await once(stderr, "data");
    text += String(chunk);
  }
}
