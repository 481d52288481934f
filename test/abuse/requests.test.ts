/**
 * Requests that are made to exhaust the server. Its memory grows by a stated
 * figure at most, every neighbour is served, and it does not fall.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { RpcClient } from "../../src/rpc/client.js";
import { RETRY_DELAY_MS } from "../../src/rpc/status.js";
import { endingOf, framed, messagePrefix, rawCall, rawConnection } from "../support/raw-grpc.js";
import { GET, MIB, Scene, SET } from "./scene.js";

const { set } = KvService.method;
const timeout = 120_000;
/** Messages may take so much; what waits, half as much more. */
const memory = ["--max-admitted-bytes", String(64 * MIB)];
/** What garbage, buffers of the kernel's size and the warm heap add is of the same order. */
const GROWTH_BYTES_MAX = 256 * MIB;

/** `count` calls on each of four connections, as `open` makes them, to their ends. */
async function flood(
  t: TestContext,
  scene: Scene,
  count: number,
  open: (session: ReturnType<typeof rawConnection>) => ReturnType<typeof rawCall>,
) {
  const sessions = Array.from({ length: 4 }, () => rawConnection(t, scene.address));
  const calls = sessions.flatMap((session) => Array.from({ length: count }, () => open(session)));
  return await Promise.all(calls.map(endingOf));
}

function assertBounded(scene: Scene): void {
  const grown = `${Math.round(scene.growthBytes / MIB)} MiB more`;
  assert.ok(scene.growthBytes < GROWTH_BYTES_MAX, grown);
}

test("256 compressed bombs of 200 MiB are RESOURCE_EXHAUSTED, and are never inflated together (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, ...memory);
  const bomb = framed(gzipSync(Buffer.alloc(200 * MIB)), true);
  await scene.during(async () => {
    const endings = await flood(t, scene, 64, (session) =>
      rawCall(session, SET, { "grpc-encoding": "gzip" }).end(bomb),
    );
    assert.ok(endings.every((ending) => ending.status === status.RESOURCE_EXHAUSTED));
  });
  assertBounded(scene);
});

test("a declared length of 4 GiB is RESOURCE_EXHAUSTED before a byte of it comes (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, ...memory);
  await scene.during(async () => {
    const endings = await flood(t, scene, 200, (session) => {
      const call = rawCall(session, SET);
      call.write(messagePrefix(0xffffffff));
      return call;
    });
    assert.ok(endings.every((ending) => ending.status === status.RESOURCE_EXHAUSTED));
  });
  assertBounded(scene);
});

test("uploads of a byte a second are ended, and the room that they held serves others (V11)", {
  timeout,
}, async (t) => {
  // Small ones, for a message has a second for each MiB beside its timeout.
  const small = ["--max-message-bytes", String(MIB), "--max-admitted-bytes", String(16 * MIB)];
  const flags = ["--message-timeout", "1000", "--admission-timeout", "60000"];
  const scene = await Scene.open(t, ...small, ...flags);
  await scene.during(async () => {
    const slow = flood(t, scene, 1, (session) => {
      const call = rawCall(session, SET);
      call.write(messagePrefix(MIB));
      const drip = setInterval(() => call.destroyed || call.write(Buffer.alloc(1)), 1000);
      call.once("close", () => clearInterval(drip));
      return call;
    });
    // They hold all the room there is for large messages, so this one waits for their end.
    const value = Buffer.alloc(MIB - 200, 1);
    const { applied } = await scene.client.call(set, { key: Buffer.from("large"), value });
    assert.equal(applied, true);
    const messages = (await slow).map(({ message }) => message);
    assert.ok(
      messages.every((message) => message.startsWith("REQUEST_TOO_SLOW")),
      messages[0],
    );
  });
  assertBounded(scene);
});

test("64 clients that push the largest values, and try again if told to, are all served in bounded memory (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, ...memory);
  let refusals = 0;
  const untilServed = async (client: RpcClient, key: Buffer, value: Buffer): Promise<boolean> => {
    for (;;) {
      try {
        return (await client.call(set, { key, value })).applied;
      } catch (error) {
        if (!(error instanceof KvixError) || error.retry !== "after-delay") throw error;
        assert.equal(error.reason, "OVERLOADED");
        refusals += 1;
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
      }
    }
  };
  await scene.during(async () => {
    const push = async (name: number): Promise<void> => {
      const client = new RpcClient(scene.address, { "grpc.use_local_subchannel_pool": 1 });
      const value = Buffer.alloc(4 * MIB - 200, name);
      assert.equal(await untilServed(client, Buffer.from(String(name)), value), true);
      client.close();
    };
    await Promise.all(Array.from({ length: 64 }, (_, name) => push(name)));
  });
  assert.ok(refusals > 0, "64 of them fit the memory, so nothing was tested");
  assertBounded(scene);
});

test("a client that reads nothing of 400 answers of 4 MiB costs a bounded memory (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, ...memory, "--message-timeout", "1000");
  const value = Buffer.alloc(4 * MIB - 200, 1);
  await scene.client.call(set, { key: Buffer.from("k"), value });
  await scene.during(async () => {
    const request = framed(Buffer.from([0x0a, 1, 0x6b]));
    const closed: Promise<void>[] = [];
    for (let connection = 0; connection < 4; connection++) {
      const session = rawConnection(t, scene.address);
      for (let i = 0; i < 100; i++) {
        const call = rawCall(session, GET).end(request);
        closed.push(new Promise((resolve) => call.once("close", () => resolve())));
        // A refusal has no body to be left unread, but ends only for one who reads.
        call.once("response", (headers) => {
          if (headers["grpc-status"] !== undefined) call.resume();
        });
      }
    }
    await Promise.all(closed);
  });
  assertBounded(scene);
});
