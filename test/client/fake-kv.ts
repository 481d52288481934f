/**
 * A KvService whose answers a test makes up: any error, any number of times, and
 * connections that break at any point.
 */

import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { nodeHost } from "../../src/host/node-host.js";
import { type HandlersOf, implementService } from "../../src/rpc/calls.js";
import { serviceDefinition } from "../../src/rpc/definition.js";

/** The handlers that a test brings; calls of others are refused as INTERNAL_BUG. */
export type FakeHandlers = Partial<HandlersOf<typeof KvService>>;

/** A server of made-up answers. */
export interface FakeKv {
  readonly address: string;
  /** How many connections it has had. */
  readonly connections: number;
  /** Breaks every connection. */
  cut(): void;
}

/** Starts one that ends with the test. */
export async function startFakeKv(
  t: Pick<TestContext, "after">,
  handlers: FakeHandlers,
): Promise<FakeKv> {
  const server = new Server();
  server.addService(
    serviceDefinition(KvService, KvService, ["pipeline"]),
    implementService(KvService, () => handlers as HandlersOf<typeof KvService>, {
      host: nodeHost(),
      streams: new Set(),
    }),
  );
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  let connections = 0;
  const listener = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    injector.injectConnection(socket);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(() => {
    listener.close();
    cut();
    server.forceShutdown();
  });
  return {
    address: `127.0.0.1:${(listener.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
    cut,
  };
}
