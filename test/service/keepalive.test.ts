/** Dead peers are found, and lively ones left alone. */
import assert from "node:assert/strict";
import { connect as connectSession } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { endingOf, framed, rawCall } from "../support/raw-grpc.js";
import { startMemoryServer } from "./memory-server.js";

const timeout = 60_000;
const options = { keepaliveMs: 1000, keepaliveTimeoutMs: 1000 };

/** A proxy that at some moment carries nothing more, and closes nothing either. */
async function blackHole(t: TestContext, address: string) {
  const [host = "", port] = address.split(":");
  const sockets: Socket[] = [];
  let isOpen = true;
  const carry = (from: Socket, to: Socket) => {
    sockets.push(from);
    from.on("data", (bytes) => isOpen && to.write(bytes));
    from.on("error", () => undefined);
    from.on("close", () => isOpen && to.destroy());
  };
  const server = createServer((client) => {
    const target = connect(Number(port), host);
    carry(client, target);
    carry(target, client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port: own } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${own}`,
    swallow: () => {
      isOpen = false;
    },
  };
}

test("a client that died without a word is found, and its streams are ended", {
  timeout,
}, async (t) => {
  const { address, server } = await startMemoryServer(t, { options });
  const hole = await blackHole(t, address);
  const session = connectSession(`http://${hole.address}`);
  session.on("error", () => undefined);
  t.after(() => session.destroy());
  const watch = rawCall(session, `/${Health.typeName}/Watch`).end(framed(Buffer.alloc(0)));
  await new Promise((resolve) => watch.once("data", resolve));
  assert.equal(server.figures.connections, 1);
  hole.swallow();
  for (let i = 0; i < 500 && server.figures.connections > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual([server.figures.connections, server.figures.calls], [0, 0]);
});

test("a client with the settings that docs/api.md recommends finds a server that died without a word", {
  timeout,
}, async (t) => {
  const { address } = await startMemoryServer(t);
  const hole = await blackHole(t, address);
  const client = new RpcClient(hole.address, {
    "grpc.keepalive_time_ms": 1000,
    "grpc.keepalive_timeout_ms": 1000,
    "grpc.keepalive_permit_without_calls": 1,
  });
  t.after(() => client.close());
  const call = (key: string) =>
    client.call(
      KvService.method.get,
      { key: Buffer.from(key) },
      { deadlineMs: Date.now() + 20_000 },
    );
  await call("k");
  hole.swallow();
  const startMs = performance.now();
  const error = await call("k").catch((thrown: unknown) => thrown);
  // UNAVAILABLE long before the deadline: the pings found out.
  assert.equal((error as { code: number }).code, 14);
  assert.ok(performance.now() - startMs < 15_000);
});

test("pings as often as a client likes end no connection", { timeout }, async (t) => {
  const { address } = await startMemoryServer(t);
  const session = connectSession(`http://${address}`);
  t.after(() => session.destroy());
  await new Promise((resolve) => session.once("connect", resolve));
  for (let i = 0; i < 500; i++) {
    await new Promise<void>((resolve, reject) => {
      session.ping((error) => (error === null ? resolve() : reject(error)));
    });
  }
  const { status } = await endingOf(
    rawCall(session, `/${KvService.typeName}/Get`).end(framed(Buffer.from([0x0a, 1, 0x6b]))),
  );
  assert.equal(status, 0);
});
