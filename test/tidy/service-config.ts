/**
 * The service config of the package: what a stock gRPC client may try again, out of the
 * contract and the catalogue of errors.
 *
 * A service config knows status codes and no reasons. So it repeats only calls that
 * change nothing (NO_SIDE_EFFECTS) or the same as once (IDEMPOTENT), and only where a
 * status always says that it may pass: every reason that a server gives it is
 * after-delay.
 */
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { file_kvix_v1_kvix as contract } from "../../gen/kvix/v1/kvix_pb.js";
import { errorCatalogue, type Reason, type StatusName } from "../../src/base/error-catalogue.js";
import { RETRY_DELAY_MS } from "../../src/rpc/status.js";

/** The file, as package.json exports it. */
export const serviceConfigPath = "proto/kvix/v1/service-config.json";

/** Reasons that only a client has; no server sends them. */
const ofClients: readonly Reason[] = [
  "UNREACHABLE",
  "CONNECTION_LOST",
  "DEADLINE_PASSED",
  "MESSAGE_TOO_LARGE",
  "NOT_UNDERSTOOD",
];

const ATTEMPTS_MAX = 5;
const BACKOFF_MAX = "2s";
const BACKOFF_MULTIPLIER = 2;

/** The statuses that mean "again, later", whatever the reason. */
export function retryableStatuses(): StatusName[] {
  const rows = Object.entries(errorCatalogue).filter(
    ([reason]) => !ofClients.includes(reason as Reason),
  );
  const statuses = [...new Set(rows.map(([, { status }]) => status))];
  return statuses.filter(
    (status) =>
      // A deadline is the client's own: when it is over, so is the call.
      status !== "DEADLINE_EXCEEDED" &&
      rows.every(([, row]) => row.status !== status || row.retry === "after-delay"),
  );
}

/** The rpcs that may be repeated. */
export function repeatableRpcs(): { service: string; method: string }[] {
  return contract.services.flatMap((service) =>
    service.methods
      .filter(({ idempotency }) => idempotency !== Level.IDEMPOTENCY_UNKNOWN)
      .map(({ name }) => ({ service: service.typeName, method: name })),
  );
}

/** The text of the file. */
export function renderServiceConfig(): string {
  const retryPolicy = {
    maxAttempts: ATTEMPTS_MAX,
    initialBackoff: `${RETRY_DELAY_MS / 1000}s`,
    maxBackoff: BACKOFF_MAX,
    backoffMultiplier: BACKOFF_MULTIPLIER,
    retryableStatusCodes: retryableStatuses(),
  };
  const config = { methodConfig: [{ name: repeatableRpcs(), retryPolicy }] };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
