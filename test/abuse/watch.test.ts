/** Watchers that never read: a thousand cost a stated memory, hold nobody up, and are ended. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { KvService, type WatchResponse } from "../../gen/kvix/v1/kvix_pb.js";
import { framed, rawCall, rawConnection } from "../support/raw-grpc.js";
import { MIB, Scene } from "./scene.js";

const { set, watch } = KvService.method;
const WATCH = "/kvix.v1.KvService/Watch";
const timeout = 300_000;
/** Of a stuck watcher: its message, and what grpc-js and Node make of it; the warm heap beside. */
const GROWTH_BYTES_MAX = 384 * MIB;
/** after_version = 0, and include_current = true, as the fields of a request. */
const requests = { changes: [0x30, 0], current: [0x38, 1] } as const;

async function fill(scene: Scene, records: number, valueBytes: number): Promise<void> {
  const value = Buffer.alloc(valueBytes, 1);
  for (let at = 0; at < records; at += 1) {
    await scene.client.call(set, { key: Buffer.from(`watch-${at}`), value });
  }
}

/** Watches on each of four connections and reads nothing; answers their ends. */
function neverRead(t: TestContext, scene: Scene, request: readonly number[]): Promise<unknown>[] {
  const message = framed(Buffer.from(request));
  return Array.from({ length: 4 }, () => rawConnection(t, scene.address)).flatMap((session) =>
    Array.from({ length: 250 }, () => {
      const call = rawCall(session, WATCH).end(message);
      return new Promise((resolve) => call.once("close", resolve));
    }),
  );
}

/** Watches from now on, in the background, until it has seen a key. */
async function sees(answers: AsyncIterable<WatchResponse>, key: string): Promise<void> {
  for await (const { events } of answers) {
    if (events.some(({ record }) => Buffer.from(record?.key ?? []).toString() === key)) return;
  }
}

for (const [what, request] of Object.entries(requests)) {
  test(`1,000 watchers of the ${what} that never read cost a bounded memory, hold up nobody, and are ended (G-WATCH-16, V11)`, {
    timeout,
  }, async (t) => {
    const scene = await Scene.open(t, "--message-timeout", "8000");
    await fill(scene, 100, 60_000);
    await scene.during(async () => {
      const ends = neverRead(t, scene, request);
      const seen = sees(scene.client.stream(watch, {}), "mark");
      await fill(scene, 50, 60_000);
      await scene.client.call(set, { key: Buffer.from("mark") });
      await seen;
      await Promise.all(ends);
    });
    assert.ok(
      scene.growthBytes < GROWTH_BYTES_MAX,
      `${Math.round(scene.growthBytes / MIB)} MiB more`,
    );
  });
}

test("1,000 watchers of records of 4 MB that never read cost a bounded memory, and others watch on (G-WATCH-16, V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, "--message-timeout", "4000");
  await fill(scene, 4, 4_000_000);
  await scene.during(async () => {
    neverRead(t, scene, requests.changes);
    const seen = sees(scene.client.stream(watch, { prefix: Buffer.from("mark") }), "mark");
    for (let at = 0; at < 20; at += 1) await scene.client.call(set, { key: Buffer.from("other") });
    await scene.client.call(set, { key: Buffer.from("mark") });
    await seen;
  });
  assert.ok(
    scene.growthBytes < GROWTH_BYTES_MAX,
    `${Math.round(scene.growthBytes / MIB)} MiB more`,
  );
});
