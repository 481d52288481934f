/**
 * Connections that are made to exhaust the server: floods of frames that cost
 * their sender nothing, and many connections. Its memory grows by a stated
 * figure at most, every neighbour is served, and it does not fall.
 */
import assert from "node:assert/strict";
import type { Settings } from "node:http2";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { endingOf, rawCall, rawConnection } from "../support/raw-grpc.js";
import { MIB, Scene, SET } from "./scene.js";

const timeout = 120_000;
const FLOOD_GROWTH_BYTES_MAX = 128 * MIB;
const CONNECTION_BYTES_MAX = 100 * 1024;

const HEADERS = 1;
const SETTINGS = 4;
const PING = 6;
const CONTINUATION = 9;

function assertBounded(scene: Scene): void {
  const grown = `${Math.round(scene.growthBytes / MIB)} MiB more`;
  assert.ok(scene.growthBytes < FLOOD_GROWTH_BYTES_MAX, grown);
}

/** An HTTP/2 frame. */
function frame(type: number, streamId: number, body: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.byteLength, 0, 3);
  head[3] = type;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, body]);
}

/** A socket on which HTTP/2 has begun. */
function bareConnection(t: TestContext, address: string): Socket {
  const [host = "", port] = address.split(":");
  const socket = connect(Number(port), host);
  t.after(() => socket.destroy());
  socket.on("error", () => undefined);
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(frame(SETTINGS, 0, Buffer.alloc(0)));
  return socket;
}

/** Writes the frame again and again until the server hangs up or `count` are out. */
async function pour(socket: Socket, piece: Buffer, count: number): Promise<number> {
  let sent = 0;
  while (!socket.destroyed && sent < count) {
    sent += 1;
    if (socket.write(piece)) continue;
    await new Promise<void>((resolve) => {
      socket.once("drain", () => resolve());
      socket.once("close", () => resolve());
    });
  }
  return sent;
}

test("streams that are reset as fast as they are opened end the connection (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t);
  await scene.during(async () => {
    const session = rawConnection(t, scene.address);
    await new Promise((resolve) => session.once("connect", resolve));
    const isOver = () => session.closed || session.destroyed;
    let opened = 0;
    for (; opened < 50_000 && !isOver(); opened++) {
      rawCall(session, SET).close();
      if (opened % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(isOver(), `the server took ${opened} resets`);
  });
  assertBounded(scene);
});

test("a header block that never ends is hung up on (V11)", { timeout }, async (t) => {
  const scene = await Scene.open(t);
  await scene.during(async () => {
    const socket = bareConnection(t, scene.address);
    socket.resume();
    // A literal field "x" without an index: a value of 16,127 bytes.
    const field = Buffer.concat([
      Buffer.from([0, 1, 0x78, 0x7f, 0x80, 0x7d]),
      Buffer.alloc(16_127, 97),
    ]);
    socket.write(frame(HEADERS, 1, field));
    const sent = await pour(socket, frame(CONTINUATION, 1, field), 100_000);
    assert.ok(sent < 100_000, "the server took all of it");
  });
  assertBounded(scene);
});

test("pings and settings whose answers nobody reads are hung up on (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t);
  await scene.during(async () => {
    for (const piece of [frame(PING, 0, Buffer.alloc(8)), frame(SETTINGS, 0, Buffer.alloc(0))]) {
      const many = Buffer.concat(Array.from({ length: 1000 }, () => piece));
      const socket = bareConnection(t, scene.address);
      socket.pause();
      const isStuck = new Promise((resolve) => setTimeout(() => resolve("stuck"), 5000));
      // Either the server hangs up, or it stops reading: in both cases it keeps nothing.
      await Promise.race([pour(socket, many, 20_000), isStuck]);
      socket.destroy();
    }
  });
  assertBounded(scene);
});

test("200 calls with 40 kB of metadata each are refused one by one (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t);
  await scene.during(async () => {
    const session = rawConnection(t, scene.address);
    const calls = Array.from({ length: 200 }, () =>
      rawCall(session, SET, { "x-bloat": "a".repeat(40_000) }).end(),
    );
    const endings = await Promise.all(calls.map(endingOf));
    // 3: INVALID_ARGUMENT; without a status: Node refused it.
    assert.ok(endings.every((ending) => ending.status === 3 || ending.status === undefined));
    assert.ok(endings.every((ending) => ending.status === 3 || ending.resetCode !== 0));
  });
  assertBounded(scene);
});

test("1,000 idle connections cost less than 100 KiB each (V11)", { timeout }, async (t) => {
  const scene = await Scene.open(t);
  await scene.during(async () => {
    const connections = Array.from({ length: 1000 }, () => rawConnection(t, scene.address));
    await Promise.all(
      connections.map((each) => new Promise((resolve) => each.once("remoteSettings", resolve))),
    );
  });
  const each = Math.round(scene.growthBytes / 1000);
  assert.ok(each < CONNECTION_BYTES_MAX, `${each} bytes each`);
});

test("a connection too many is closed at once, and one that goes makes room (V11)", {
  timeout,
}, async (t) => {
  const scene = await Scene.open(t, "--max-connections", "3");
  const isServed = (session: ReturnType<typeof rawConnection>) =>
    new Promise<boolean>((resolve) => {
      session.once("remoteSettings", () => resolve(true));
      session.once("close", () => resolve(false));
    });
  // The neighbour has one already.
  const first = rawConnection(t, scene.address);
  assert.equal(await isServed(first), true);
  assert.equal(await isServed(rawConnection(t, scene.address)), true);
  assert.equal(await isServed(rawConnection(t, scene.address)), false);
  first.destroy();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(await isServed(rawConnection(t, scene.address)), true);
  const { calls } = await scene.during(async () => undefined);
  assert.ok(calls > 0);
  assert.ok(scene.server.log.some((line) => line["msg"] === "a connection was refused"));
});

test("a connection is told its bounds: windows, calls, metadata", { timeout }, async (t) => {
  const flags = ["--stream-window-bytes", String(3 * MIB), "--max-calls-per-connection", "17"];
  const scene = await Scene.open(t, ...flags, "--max-metadata-bytes", "8192");
  const session = rawConnection(t, scene.address);
  const told = await new Promise<Settings>((resolve) => session.once("remoteSettings", resolve));
  assert.equal(told.initialWindowSize, 3 * MIB);
  assert.equal(told.maxConcurrentStreams, 17);
  assert.equal(told.maxHeaderListSize, 8192);
  // The window of the connection comes behind, in a frame of its own.
  for (let i = 0; i < 200 && session.state.remoteWindowSize !== 6 * MIB; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(session.state.remoteWindowSize, 6 * MIB);
});
