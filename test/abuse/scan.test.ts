/** Scanners that never read: a thousand cost a stated memory, hold nobody up, and are ended. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { framed, rawCall, rawConnection } from "../support/raw-grpc.js";
import { MIB, Scene } from "./scene.js";

const { set, scan, list } = KvService.method;
const SCAN = "/kvix.v1.KvService/Scan";
const timeout = 300_000;
/** Of a stuck scanner: its message, and what grpc-js and Node make of it; the warm heap beside. */
const GROWTH_BYTES_MAX = 384 * MIB;

async function fill(scene: Scene, records: number, valueBytes: number): Promise<void> {
  const value = Buffer.alloc(valueBytes, 1);
  for (let at = 0; at < records; at += 1) {
    await scene.client.call(set, { key: Buffer.from(`scan-${at}`), value });
  }
}

/** Begins scans on each of four connections and reads nothing of them; answers their ends. */
function neverRead(t: TestContext, scene: Scene, count: number): Promise<unknown>[] {
  const request = framed(new Uint8Array(0));
  return Array.from({ length: 4 }, () => rawConnection(t, scene.address)).flatMap((session) =>
    Array.from({ length: count }, () => {
      const call = rawCall(session, SCAN).end(request);
      return new Promise((resolve) => call.once("close", resolve));
    }),
  );
}

function assertBounded(t: TestContext, scene: Scene): void {
  const grown = `${Math.round(scene.growthBytes / MIB)} MiB more`;
  t.diagnostic(grown);
  assert.ok(scene.growthBytes < GROWTH_BYTES_MAX, grown);
}

async function recordsOf(scene: Scene): Promise<number> {
  let records = 0;
  for await (const answer of scene.client.stream(scan, {})) records += answer.records.length;
  return records;
}

test("1,000 scanners that never read cost a bounded memory, hold up nobody, and are ended (G-SCAN-8, V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, "--message-timeout", "8000");
  await fill(scene, 100, 60_000);
  await scene.during(async () => {
    const ends = neverRead(t, scene, 250);
    // Others list and scan meanwhile.
    await scene.client.call(list, {});
    assert.ok((await recordsOf(scene)) >= 300);
    await Promise.all(ends);
  });
  assertBounded(t, scene);
});

test("1,000 scanners of records of 4 MB that never read cost a bounded memory, and let others scan (G-SCAN-8, V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, "--message-timeout", "4000");
  await fill(scene, 4, 4_000_000);
  await scene.during(async () => {
    neverRead(t, scene, 250);
    // It waits in the line with them, and each of them is ended when its time is up.
    const small = scene.client.stream(scan, { prefix: Buffer.from("warm") });
    let records = 0;
    for await (const answer of small) records += answer.records.length;
    assert.equal(records, 200);
    const large = scene.client.stream(scan, { prefix: Buffer.from("scan"), keysOnly: true });
    for await (const answer of large) assert.equal(answer.records.length, 4);
  });
  assertBounded(t, scene);
});
