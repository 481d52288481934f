/**
 * The server: one port, all services over one store.
 *
 *     listening -> draining: no new calls, conversations ended, others finish
 *               -> stopped:  all calls done, or the grace time over and the rest cut
 *
 * Invariants
 *  1. It listens only over an open store, and never closes it: who opened the
 *     store does, after the server has stopped.
 *  2. A connection has at most 256 calls under way and a request at most
 *     `messageBytesMax` bytes and a margin (V11). A longer one is refused by
 *     grpc-js itself: RESOURCE_EXHAUSTED, without details.
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { AdminService, KvService, KvTextService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { Store } from "../engine/store.js";
import type { Host } from "../host/host.js";
import { type CallEnvironment, endConversations, implementService } from "../rpc/calls.js";
import { serviceDefinition } from "../rpc/definition.js";
import { adminHandlers, type ServerStateName, type ServerStatus } from "./admin-service.js";
import { DescriptorSet } from "./descriptor-set.js";
import { type KvServiceContext, kvHandlers } from "./kv-service.js";
import { kvTextHandlers } from "./kv-text-service.js";
import { reflectionHandlers } from "./reflection.js";
import { RpcCounters } from "./rpc-counters.js";

/** Where a server listens. Port 0: one that is free. */
export interface ListenAddress {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** How a server serves. */
export interface ServerOptions {
  readonly listen: ListenAddress;
  /** The largest answer, and the largest request but for a margin, in bytes. */
  readonly messageBytesMax: number;
}

/** The least message size holds the longest key and every answer of reflection, in bytes. */
export const MESSAGE_BYTES_MIN = 1_048_576;
/** The largest holds the longest key with the longest value, in bytes (101 MiB). */
export const MESSAGE_BYTES_MAX = 105_906_176;
/** What every gRPC client takes unless it is told otherwise, in bytes. */
export const MESSAGE_BYTES_DEFAULT = 4_194_304;

/** Above the limit by so much a request still gets an answer that names the field. */
const REQUEST_MARGIN_BYTES = 65_536;
const CONCURRENT_CALLS_MAX = 256;
/** A connection that is silent for so long is asked whether its client lives. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** "HOST:PORT", with brackets around an IPv6 address. */
export function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Serves `store` until it is stopped. OPTION_INVALID if it cannot listen there. */
export async function startServer(
  store: Store,
  options: ServerOptions,
  host: Host,
): Promise<KvixServer> {
  const descriptors = await DescriptorSet.load(host.files);
  const environment: CallEnvironment = { host, conversations: new Set() };
  const server = new Server({
    "grpc.max_receive_message_length": options.messageBytesMax + REQUEST_MARGIN_BYTES,
    "grpc.max_concurrent_streams": CONCURRENT_CALLS_MAX,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    // Without it grpc-js's forceShutdown finds no session to cut (1.14.7 keeps them with channelz).
    "grpc.enable_channelz": 1,
  });
  const context = { store, clock: host.clock, ...options };
  addServices(server, context, descriptors, environment);
  const port = await bind(server, options.listen);
  return new KvixServer(server, { host: options.listen.host, port }, environment, host.clock);
}

/** A server that listens. */
export class KvixServer {
  /** Where it listens, with the real port. */
  readonly address: ListenAddress;
  readonly #server: Server;
  readonly #environment: CallEnvironment;
  readonly #clock: Host["clock"];

  /** Made by `startServer`. */
  constructor(
    server: Server,
    address: ListenAddress,
    environment: CallEnvironment,
    clock: Host["clock"],
  ) {
    this.#server = server;
    this.address = address;
    this.#environment = environment;
    this.#clock = clock;
  }

  /**
   * Takes no more calls, waits until those under way have ended, and cuts what
   * is left after `graceMs`. True: nothing was cut.
   */
  async stop(graceMs: number): Promise<boolean> {
    const ended = new AbortController();
    const drained = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    endConversations(this.#environment);
    const isDrained = await Promise.race([
      drained.then(() => true),
      this.#clock.sleep(graceMs, ended.signal).then(() => false),
    ]);
    ended.abort();
    if (!isDrained) this.#server.forceShutdown();
    return isDrained;
  }
}

function addServices(
  server: Server,
  context: KvServiceContext & Pick<Host, "clock">,
  descriptors: DescriptorSet,
  environment: CallEnvironment,
): void {
  const counters = new RpcCounters();
  const admin = adminHandlers({
    ...context,
    store: () => context.store,
    status: () => statusOf(context.store),
    counts: () => counters.all,
  });
  const services = [
    KvService,
    KvTextService,
    AdminService,
    ServerReflection,
    ServerReflectionAlpha,
  ];
  const reflection = reflectionHandlers(
    descriptors,
    services.map((service) => service.typeName),
  );
  server.addService(
    serviceDefinition(KvService),
    implementService(KvService, counters.counting(KvService, kvHandlers(context)), environment),
  );
  server.addService(
    serviceDefinition(KvTextService, KvService),
    implementService(
      KvTextService,
      counters.counting(KvTextService, kvTextHandlers(context)),
      environment,
    ),
  );
  server.addService(
    serviceDefinition(AdminService),
    implementService(AdminService, counters.counting(AdminService, admin), environment),
  );
  for (const version of [ServerReflection, ServerReflectionAlpha]) {
    server.addService(
      serviceDefinition(version, ServerReflection),
      implementService(ServerReflection, reflection, environment),
    );
  }
}

/** The state of a server that has its store. */
function statusOf(store: Store): ServerStatus {
  const { condition } = store.stats();
  const holding = (["degraded", "latched", "full"] as const).filter((name) => condition[name]);
  const reasons = holding.map((state, index) => ({
    state,
    message: condition.reasons[index] ?? state,
  }));
  const worst = (["latched", "full", "degraded"] as const).find((name) => condition[name]);
  const state: ServerStateName = worst ?? "serving";
  return { state, reasons };
}

function bind(server: Server, listen: ListenAddress): Promise<number> {
  const address = formatAddress(listen);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) return resolve(port);
      const detail = `cannot listen on ${address}: ${error.message}`;
      reject(new KvixError("OPTION_INVALID", detail, { cause: error }));
    });
  });
}
