/** Where a server is: HOST:PORT. */

/** Where a server listens, and a client looks for one, unless it is told otherwise. */
export const ENDPOINT_DEFAULT = "127.0.0.1:5849";
/** The variable that names the server to the verbs of a client. */
export const ENDPOINT_VARIABLE = "KVIX_ENDPOINT";

const PORT_MAX = 65_535;

/** A host and a port. */
export interface Address {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** What an address must be, for messages. */
export const addressRange = `HOST:PORT or [IPV6]:PORT with a port from 0 to ${PORT_MAX}`;

/** "HOST:PORT" taken apart; undefined if it is none. An IPv6 address stands in brackets. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const host = match[1] ?? match[2] ?? "";
  const port = Number(match[3]);
  return port <= PORT_MAX ? { host, port } : undefined;
}
