/** TLS for the server, from the files that its options name; without them, none. */
import { createSecureContext } from "node:tls";
import { ServerCredentials } from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import type { FileSystem } from "../host/file-system.js";
import type { ServerOptions } from "./server-options.js";

/** The files that TLS needs; the empty name is none. */
export type TlsFiles = Pick<ServerOptions, "tlsCert" | "tlsKey" | "tlsClientCa">;

/** Throws OPTION_INVALID if a file cannot be read, or is not what it must be. */
export async function serverCredentials(
  { tlsCert, tlsKey, tlsClientCa }: TlsFiles,
  files: FileSystem,
): Promise<ServerCredentials> {
  if (tlsCert === "") return ServerCredentials.createInsecure();
  const certificate = await readFile(files, "tlsCert", tlsCert);
  const key = await readFile(files, "tlsKey", tlsKey);
  const authorities = tlsClientCa === "" ? null : await readFile(files, "tlsClientCa", tlsClientCa);
  try {
    // Node reads the files when a server is made of them; read once here, they have their names.
    createSecureContext({ cert: certificate, key, ...(authorities && { ca: authorities }) });
  } catch (error) {
    throw refused("tlsCert", "and tlsKey are no certificate and its key, PEM", error);
  }
  const pair = { private_key: key, cert_chain: certificate };
  return ServerCredentials.createSsl(authorities, [pair], authorities !== null);
}

async function readFile(files: FileSystem, option: string, path: string): Promise<Buffer> {
  try {
    const file = await files.open(path, "read");
    try {
      const bytes = Buffer.alloc(await file.size());
      await file.read(bytes, 0);
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw refused(option, "names a file that cannot be read", error);
  }
}

function refused(option: string, problem: string, cause: unknown): KvixError {
  const metadata = { [option]: problem };
  return new KvixError("OPTION_INVALID", `${option} ${problem}`, { metadata, cause });
}
