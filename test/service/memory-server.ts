/** A real server on a free port of the loopback, over a MemoryStore and a clock that a test moves. */
import type { TestContext } from "node:test";
import type { ChannelOptions } from "@grpc/grpc-js";
import type { Store } from "../../src/engine/store.js";
import type { Host, LogFields } from "../../src/host/host.js";
import { NodeClock } from "../../src/host/node-clock.js";
import { nodeHost } from "../../src/host/node-host.js";
import { RpcClient } from "../../src/rpc/client.js";
import { formatAddress } from "../../src/service/listener.js";
import { type KvixServer, startListening } from "../../src/service/server.js";
import { resolveServerOptions, type ServerOptionsInput } from "../../src/service/server-options.js";
import { MemoryStore } from "../support/memory-store.js";

/** The real clock, but for the wall time. */
export class ManualClock extends NodeClock {
  nowMs = Date.UTC(2030, 0, 1);

  override wallMs(): number {
    return this.nowMs;
  }
}

/** What a test has of its server. */
export interface MemoryServer {
  readonly server: KvixServer;
  readonly store: Store;
  readonly client: RpcClient;
  readonly clock: ManualClock;
  /** "HOST:PORT". */
  readonly address: string;
  /** The log: message and fields of each line as JSON. */
  readonly logLines: string[];
}

/** How a test's server differs from the default. */
export interface MemoryServerOptions {
  readonly messageBytesMax?: number;
  readonly host?: string;
  /** Other options of the server. */
  readonly options?: Partial<ServerOptionsInput>;
  /** Leaves it to the test to give the server its store. */
  readonly isStarting?: boolean;
  /** Stands between the services and the MemoryStore. */
  readonly wrap?: (store: Store) => Store;
  readonly channel?: ChannelOptions;
}

/** Starts a server that ends with the test, or with whatever else takes its end. */
export async function startMemoryServer(
  t: Pick<TestContext, "after">,
  options: MemoryServerOptions = {},
): Promise<MemoryServer> {
  const clock = new ManualClock();
  const logLines: string[] = [];
  const keep = (fields: LogFields, message: string) => {
    logLines.push(JSON.stringify([message, fields]));
  };
  const log = { debug: keep, info: keep, warn: keep, error: keep };
  const host: Host = { ...nodeHost({ log }), clock };
  const memory = new MemoryStore(() => clock.wallMs());
  const store = options.wrap?.(memory) ?? memory;
  const listen = { host: options.host ?? "127.0.0.1", port: 0 };
  const { messageBytesMax } = options;
  const resolved = resolveServerOptions({ listen, messageBytesMax, ...options.options });
  const server = await startListening(resolved, host);
  if (options.isStarting !== true) server.serve(store);
  const address = formatAddress(server.address);
  const client = new RpcClient(address, options.channel);
  t.after(async () => {
    client.close();
    await server.stop(0);
  });
  return { server, store, client, clock, address, logLines };
}
