/**
 * `kvix serve`: one store, one server, until a signal.
 *
 *     opening -> serving -> draining -> closing -> exit 0
 *
 * SIGTERM and SIGINT drain and close; one that comes while the store opens
 * closes it as soon as it is open. A second one ends the process at once with
 * exit code 1, which costs nothing that was acknowledged.
 */
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import type { StoreOptions } from "../engine/options.js";
import type { Store } from "../engine/store.js";
import type { Host, Log } from "../host/host.js";
import { nodeHost } from "../host/node-host.js";
import { asKvixError } from "../rpc/bug-report.js";
import { formatAddress, startServer } from "../service/server.js";
import { ExitCode } from "./exit-code.js";
import { openLog } from "./log.js";
import type { ServeOptions } from "./serve-options.js";
import { buildVersion } from "./version.js";

/** How the store is opened. */
export type OpenStore = (options: StoreOptions, host: Host) => Promise<Store>;

/** How long calls under way may take once the server is told to stop. */
const DRAIN_MS = 10_000;
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
    const store = await openStore(options.store, host);
    try {
      await serveUntil(stopSignal, store, options, host);
    } finally {
      await store.close();
    }
    log.info({}, "stopped");
    return ExitCode.OK;
  } catch (error) {
    reportFailure(error, host);
    return ExitCode.FAILURE;
  }
}

async function serveUntil(
  stopSignal: Promise<string>,
  store: Store,
  options: ServeOptions,
  host: Host,
): Promise<void> {
  const server = await startServer(store, options.server, host);
  logStart(store, formatAddress(server.address), options, host.log);
  const signal = await stopSignal;
  host.log.info({ signal, drainMs: DRAIN_MS }, "stopping");
  if (!(await server.stop(DRAIN_MS))) host.log.warn({}, "calls were cut after the drain time");
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
