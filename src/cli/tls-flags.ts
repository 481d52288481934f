/**
 * TLS at the client's end: the files that the flags name, and what is made of them.
 *
 * grpc-js asks for the server by the host of its endpoint, also where that is an
 * address. TLS has no place for one there (RFC 6066, section 3), and from Node 26 on
 * that is an error. So such a server is asked for by a name that nobody has, and its
 * certificate is held against the address.
 */
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { errorCode } from "../host/file-system.js";
import { readUserFile } from "../host/user-file.js";
import { parseAddress } from "./address.js";
import { type FaultList, UsageError } from "./usage-error.js";

/** The largest file of certificates that is read, in bytes. */
const PEM_BYTES_MAX = 1024 * 1024;

/** The files of a connection with TLS. */
export interface TlsFiles {
  /** The authorities that are known; undefined: the system's. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** The files that the flags name; undefined: without TLS. Faults are noted. */
export function readTlsFlags(
  flags: { tls?: true; tlsCa?: string; tlsCert?: string; tlsKey?: string },
  faults: FaultList,
): TlsFiles | undefined {
  const { tls, tlsCa: ca, tlsCert: cert, tlsKey: key } = flags;
  if (cert !== undefined && key === undefined)
    faults.add("--tls-cert", "needs --tls-key beside it");
  if (key !== undefined && cert === undefined)
    faults.add("--tls-key", "needs --tls-cert beside it");
  const isAsked = tls === true || ca !== undefined || cert !== undefined;
  return isAsked ? { ca, cert, key } : undefined;
}

/** A name that no server has (RFC 6761). */
const NO_NAME = "address.invalid";

/** grpc-js's options for a connection to `endpoint`. */
export function tlsChannelOptions(endpoint: string, files: TlsFiles | undefined): ChannelOptions {
  const isNameless = files !== undefined && addressOf(endpoint) !== undefined;
  return isNameless ? { "grpc.ssl_target_name_override": NO_NAME } : {};
}

/** The address that an endpoint has in place of a name; undefined: it has a name. */
function addressOf(endpoint: string): string | undefined {
  const host = parseAddress(endpoint)?.host;
  return host !== undefined && isIP(host) !== 0 ? host : undefined;
}

/** What a connection is made with. Throws a UsageError for files that are none. */
export async function channelCredentials(
  endpoint: string,
  files: TlsFiles | undefined,
): Promise<ChannelCredentials> {
  if (files === undefined) return credentials.createInsecure();
  const ca = await readPem("--tls-ca", files.ca);
  const key = await readPem("--tls-key", files.key);
  const cert = await readPem("--tls-cert", files.cert);
  try {
    const address = addressOf(endpoint);
    if (address === undefined) return credentials.createSsl(ca, key, cert);
    return credentials.createSsl(ca, key, cert, {
      checkServerIdentity: (_name, certificate) => checkServerIdentity(address, certificate),
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const problem = `and the files beside it are no certificates and key, PEM: ${why}`;
    throw new UsageError([{ option: ca === null ? "--tls-cert" : "--tls-ca", problem }]);
  }
}

async function readPem(option: string, path: string | undefined): Promise<Buffer | null> {
  if (path === undefined) return null;
  try {
    return Buffer.from(await readUserFile(path, PEM_BYTES_MAX));
  } catch (error) {
    const why = errorCode(error) ?? (error instanceof Error ? error.message : String(error));
    throw new UsageError([{ option, problem: `cannot be read from ${path}: ${why}` }]);
  }
}
