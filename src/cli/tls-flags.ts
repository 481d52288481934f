/** TLS at the client's end: the files that the flags name, and what is made of them. */
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { errorCode } from "../host/file-system.js";
import { readUserFile } from "../host/user-file.js";
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

/** What a connection is made with. Throws a UsageError for files that are none. */
export async function channelCredentials(files: TlsFiles | undefined): Promise<ChannelCredentials> {
  if (files === undefined) return credentials.createInsecure();
  const ca = await readPem("--tls-ca", files.ca);
  const key = await readPem("--tls-key", files.key);
  const cert = await readPem("--tls-cert", files.cert);
  try {
    return credentials.createSsl(ca, key, cert);
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
