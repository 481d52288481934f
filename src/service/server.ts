/**
 * The server: one port, all services over one store.
 *
 *     listening -> serving:  the store is open; before, calls are refused with STORE_STARTING
 *               -> draining: no new connections, streams ended, other calls finish
 *               -> stopped:  all calls done, or the grace time over and the rest cut
 *
 * Invariants
 *  1. It never closes the store: who opened the store does, after the server has
 *     stopped.
 *  2. Connections, calls, metadata, and the memory of messages are bounded by
 *     its options (V11). A request above `messageBytesMax` and a margin is
 *     refused by grpc-js itself: RESOURCE_EXHAUSTED, without details.
 *  3. A stop ends: what is not over after the grace time is cut, down to the
 *     sockets.
 */
import {
  type ServerOptions as GrpcOptions,
  getChannelzHandlers,
  getChannelzServiceDefinition,
  Server,
} from "@grpc/grpc-js";
import { Channelz } from "../../gen/grpc/channelz/v1/channelz_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { AdminService, KvService, KvTextService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { Store } from "../engine/store.js";
import type { Host } from "../host/host.js";
import { type CallEnvironment, endStreams, implementService } from "../rpc/calls.js";
import { serviceDefinition } from "../rpc/definition.js";
import { adminHandlers } from "./admin-service.js";
import { answerEstimate, operationEstimate } from "./answer-estimate.js";
import { CallGate, type GateFigures } from "./call-gate.js";
import { bytesCarrier } from "./carrier.js";
import { DescriptorSet } from "./descriptor-set.js";
import { healthHandlers } from "./health.js";
import { injectorOf } from "./http2-sessions.js";
import { kvHandlers } from "./kv-service.js";
import { kvTextHandlers } from "./kv-text-service.js";
import { Listener } from "./listener.js";
import { answerBytesMax, pipelineHandler } from "./pipeline.js";
import { reflectionHandlers } from "./reflection.js";
import { RpcCounters } from "./rpc-counters.js";
import { serverCredentials } from "./server-credentials.js";
import { ServerLife, type ServerStatus } from "./server-life.js";
import type { ListenAddress, ServerOptions } from "./server-options.js";
import { SetOperation } from "./set-operation.js";

/** Above the limit by so much a request still gets an answer that names the field. */
const REQUEST_MARGIN_BYTES = 65_536;
/** What Node's timers can wait; grpc-js takes it for "never". */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** How long a stop waits for connections without calls to close. */
const LINGER_MS = 1000;

/** What a server shows of itself. */
export interface ServerFigures extends GateFigures {
  readonly connections: number;
}

/** Listens, and refuses calls until it is given a store. OPTION_INVALID if it cannot listen there. */
export async function startListening(options: ServerOptions, host: Host): Promise<KvixServer> {
  const descriptors = await DescriptorSet.load(host.files);
  const credentials = await serverCredentials(options, host.files);
  const life = new ServerLife(host);
  const receiveBytesMax = options.messageBytesMax + REQUEST_MARGIN_BYTES;
  const estimate = answerEstimate(() => life.store, options.messageBytesMax);
  const gate = new CallGate(host, options, receiveBytesMax, estimate);
  const environment: CallEnvironment = { host, streams: new Set() };
  const server = new Server({
    ...grpcOptions(options, receiveBytesMax),
    interceptors: [gate.interceptor],
  });
  addServices(server, { life, host, options, descriptors, environment });
  const injector = injectorOf(server, credentials, options, gate);
  const listener = await Listener.open(options.listen, {
    connectionsMax: options.connectionsMax,
    log: host.log,
    accept: (socket) => injector.injectConnection(socket),
  });
  return new KvixServer({ server, listener, life, gate, environment, clock: host.clock });
}

/** Serves `store` until it is stopped. OPTION_INVALID if it cannot listen there. */
export async function startServer(
  store: Store,
  options: ServerOptions,
  host: Host,
): Promise<KvixServer> {
  const server = await startListening(options, host);
  server.serve(store);
  return server;
}

interface ServerParts {
  readonly server: Server;
  readonly listener: Listener;
  readonly life: ServerLife;
  readonly gate: CallGate;
  readonly environment: CallEnvironment;
  readonly clock: Host["clock"];
}

/** A server that listens. */
export class KvixServer {
  readonly #parts: ServerParts;

  /** Made by `startListening`. */
  constructor(parts: ServerParts) {
    this.#parts = parts;
  }

  /** Where it listens, with the real port. */
  get address(): ListenAddress {
    return this.#parts.listener.address;
  }

  /** What it is able to do, and why not more. */
  get status(): ServerStatus {
    return this.#parts.life.status();
  }

  get figures(): ServerFigures {
    const { gate, listener } = this.#parts;
    return { ...gate.figures, connections: listener.connections };
  }

  /** Answers calls from `store` from now on. */
  serve(store: Store): void {
    this.#parts.life.serve(store);
  }

  /**
   * Says that it is not serving, takes no more connections, ends streams, waits
   * until calls under way have ended, and cuts what is left after `graceMs`.
   * True: nothing was cut.
   */
  async stop(graceMs: number): Promise<boolean> {
    const { server, listener, life, gate, environment, clock } = this.#parts;
    life.drain();
    listener.close();
    // Who watches the health learns of it before the stream ends.
    await new Promise<void>((resolve) => clock.soon(resolve));
    const closing = new KvixError("STORE_CLOSING");
    endStreams(environment, closing);
    gate.refuseWaiting(closing);
    // Its callback tells nothing: on newer versions of Node it comes at once.
    server.tryShutdown(() => undefined);
    const within = async (ms: number, event: Promise<void>): Promise<boolean> => {
      const ended = new AbortController();
      const isFirst = await Promise.race([
        event.then(() => true),
        clock.sleep(ms, ended.signal).then(() => false),
      ]);
      ended.abort();
      return isFirst;
    };
    const isDrained = await within(graceMs, gate.whenEmpty());
    // What was answered last is still on its way; a client that holds its end open is not waited for.
    if (isDrained) await within(LINGER_MS, listener.whenEmpty());
    server.forceShutdown();
    listener.destroyConnections();
    gate.stop();
    return isDrained;
  }
}

function grpcOptions(options: ServerOptions, receiveBytesMax: number): GrpcOptions {
  return {
    "grpc.max_receive_message_length": receiveBytesMax,
    "grpc.max_concurrent_streams": options.callsPerConnectionMax,
    "grpc.keepalive_time_ms": options.keepaliveMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
    "grpc.max_connection_idle_ms": Math.min(options.connectionIdleMs, TIMER_MS_MAX),
    "grpc.max_connection_age_ms": Math.min(options.connectionAgeMs, TIMER_MS_MAX),
    // A connection of age ends as all of them do in a stop.
    "grpc.max_connection_age_grace_ms": options.drainMs,
    "grpc.enable_channelz": options.channelz ? 1 : 0,
  };
}

interface ServicesContext {
  readonly life: ServerLife;
  readonly host: Host;
  readonly options: ServerOptions;
  readonly descriptors: DescriptorSet;
  readonly environment: CallEnvironment;
}

function addServices(server: Server, context: ServicesContext): void {
  const { life, host, options, descriptors, environment } = context;
  const counters = new RpcCounters();
  // Their handlers come with the store.
  for (const service of [KvService, KvTextService]) counters.declare(service);
  const services = [
    ...[KvService, KvTextService, AdminService],
    ...[Health, ServerReflection, ServerReflectionAlpha],
  ];
  const names = [...services, ...(options.channelz ? [Channelz] : [])].map((each) => each.typeName);
  // Made when there is a store; until then the store is what they are refused for.
  const withStore = <Handlers>(make: (store: Store) => Handlers): (() => Handlers) => {
    let handlers: Handlers | undefined;
    return () => {
      handlers ??= make(life.store);
      return handlers;
    };
  };
  const kvContext = (store: Store) => ({ store, clock: host.clock, ...options });
  const pipeline = (store: Store) => {
    const messageBytesMax = answerBytesMax(options.messageBytesMax);
    const context = { ...kvContext(store), messageBytesMax };
    return pipelineHandler({
      handlers: kvHandlers(context),
      sets: new SetOperation(context, bytesCarrier),
      host,
      estimate: operationEstimate(store, options.messageBytesMax),
      counts: counters.countsOf(KvService),
    });
  };
  server.addService(
    serviceDefinition(KvService, KvService, ["pipeline"]),
    implementService(
      KvService,
      withStore((store) =>
        counters.counting(KvService, {
          ...kvHandlers(kvContext(store)),
          pipeline: pipeline(store),
        }),
      ),
      environment,
    ),
  );
  server.addService(
    serviceDefinition(KvTextService, KvService),
    implementService(
      KvTextService,
      withStore((store) => counters.counting(KvTextService, kvTextHandlers(kvContext(store)))),
      environment,
    ),
  );
  const admin = counters.counting(
    AdminService,
    adminHandlers({
      store: () => life.store,
      status: () => life.status(),
      counts: () => counters.all,
      clock: host.clock,
      messageBytesMax: options.messageBytesMax,
    }),
  );
  server.addService(
    serviceDefinition(AdminService),
    implementService(AdminService, () => admin, environment),
  );
  const health = healthHandlers(life, names);
  server.addService(
    serviceDefinition(Health),
    implementService(Health, () => health, environment),
  );
  const reflection = reflectionHandlers(descriptors, names);
  for (const version of [ServerReflection, ServerReflectionAlpha]) {
    server.addService(
      serviceDefinition(version, ServerReflection),
      implementService(ServerReflection, () => reflection, environment),
    );
  }
  if (options.channelz) server.addService(getChannelzServiceDefinition(), getChannelzHandlers());
}
