/**
 * kvix from another process: the client of a `kvix serve`.
 *
 *     await using kvix = connect({ address: "127.0.0.1:5849" });
 *     await kvix.set("greeting", "hello", { ttlMs: 60_000 });
 *     const record = await kvix.get("greeting");   // record?.text() === "hello"
 *
 * It has the methods of the embedded store, and its errors; docs/client.md is a tour.
 */
export {
  type ErrorRow,
  errorCatalogue,
  type Outcome,
  type Reason,
  type Retry,
} from "../base/error-catalogue.js";
export { KvixError } from "../base/kvix-error.js";
export * from "../kv/index.js";
export type { ClientCallOptions } from "./connection.js";
export { connect, KvixClient } from "./kvix-client.js";
export type { ConnectOptions, TlsOptions } from "./options.js";
