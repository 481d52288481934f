/**
 * `kvix serve`: one store, one server, until a signal.
 *
 *     listening -> opening -> serving -> draining -> closing -> exit 0
 *
 * It listens before it opens, so that an orchestrator sees a server that is not
 * ready and not one that is not there. SIGTERM and SIGINT drain and close; one
 * that comes while the store opens closes it as soon as it is open. A second one
 * ends the process at once with exit code 1, which costs nothing that was
 * acknowledged.
 */
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import { buildVersion } from "../base/version.js";
import type { StoreOptions } from "../engine/options.js";
import type { Store } from "../engine/store.js";
import type { Host, Log } from "../host/host.js";
import { nodeHost } from "../host/node-host.js";
import { asKvixError } from "../rpc/bug-report.js";
import { formatAddress } from "../service/listener.js";
import { type KvixServer, startListening } from "../service/server.js";
import { ExitCode } from "./exit-code.js";
import { openLog } from "./log.js";
import type { ServeOptions } from "./serve-options.js";

/** How the store is opened. */
export type OpenStore = (options: StoreOptions, host: Host) => Promise<Store>;

const loopbackHosts = /^(?:localhost|::1|127(?:\.\d{1,3}){3})$/;
const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Opens, serves, and closes again on a signal. Resolves to the exit code. */
export async function serve(options: ServeOptions, openStore: OpenStore): Promise<number> {
  const log = await openLog(options.logLevel, options.logFormat);
  // grpc-js writes plain text to stderr, where only the log belongs; what fails reaches us anyway.
  setLogVerbosity(logVerbosity.NONE);
  const host = nodeHost({ log });
  process.once("uncaughtException", (error) => {
    asKvixError(error, host);
    process.exit(ExitCode.FAILURE);
  });
  const stopSignal = awaitStopSignal(log);
  try {
    const server = await startListening(options.server, host);
    const address = formatAddress(server.address);
    log.info({ version: buildVersion, address }, "listening");
    warnOfOpenPort(options, host.log);
    try {
      const store = await openStore(options.store, host);
      try {
        server.serve(store);
        logStart(store, address, options, host.log);
        await drain(server, await stopSignal, options, host.log);
      } finally {
        await store.close();
      }
    } finally {
      await server.stop(0);
    }
    log.info({}, "stopped");
    return ExitCode.OK;
  } catch (error) {
    reportFailure(error, host);
    return ExitCode.FAILURE;
  }
}

async function drain(
  server: KvixServer,
  signal: string,
  options: ServeOptions,
  log: Log,
): Promise<void> {
  const { drainMs } = options.server;
  log.info({ signal, drainMs }, "stopping");
  if (!(await server.stop(drainMs))) log.warn({}, "calls were cut after the drain time");
}

/** Whoever reaches the port may read and write everything, and read along without TLS. */
function warnOfOpenPort({ server }: ServeOptions, log: Log): void {
  const { listen, tlsCert } = server;
  if (tlsCert !== "" || loopbackHosts.test(listen.host)) return;
  log.warn({ host: listen.host }, "the port is open to other machines, and without TLS");
}

function logStart(store: Store, address: string, options: ServeOptions, log: Log): void {
  const { keys, segments, version, open, condition } = store.stats();
  const { dataDir, segmentDir, durability } = options.store;
  const openMs = Math.round(open.milliseconds);
  const opening = { keys, segments, storeVersion: version, wasClean: open.wasClean, openMs };
  log.info(
    { version: buildVersion, dataDir, segmentDir, address, durability, ...opening },
    "serving",
  );
  for (const reason of condition.reasons) log.warn({}, reason);
}

function reportFailure(error: unknown, host: Host): void {
  if (error instanceof KvixError && error.reason !== "INTERNAL_BUG") {
    const { reason, message, row } = error;
    host.log.error({ reason, ...error.metadata, operator: row.operator }, message);
  } else {
    asKvixError(error, host);
  }
}

/** Resolves to the first signal to stop; the second one ends the process. */
function awaitStopSignal(log: Log): Promise<string> {
  return new Promise((resolve) => {
    let isStopping = false;
    for (const name of STOP_SIGNALS) {
      process.on(name, () => {
        if (isStopping) {
          log.error({ signal: name }, "a second signal cut the stop short");
          process.exit(ExitCode.FAILURE);
        }
        isStopping = true;
        resolve(name);
      });
    }
  });
}
