/**
 * gRPC by hand, over node:http2 or a bare socket, for what no client library
 * would send. A connection and its streams swallow their errors: a server that
 * defends itself breaks them.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type Settings,
} from "node:http2";
import type { TestContext } from "node:test";

/** How a call ended. */
export interface RawEnding {
  /** grpc-status; undefined if none came. */
  readonly status: number | undefined;
  readonly message: string;
  /** HTTP/2's code if the stream was reset; 0: it was not. */
  readonly resetCode: number;
  readonly answerBytes: number;
}

/**
 * What a connection may hold unread, in MB. With the default of 10 Node 24 handles no frame
 * any more once 200 streams have a window unread, so a caller who reads nothing never hears
 * that the server has ended it.
 */
const UNREAD_MB_MAX = 1024;

/** A connection that ends with the test. */
export function rawConnection(
  t: TestContext,
  address: string,
  settings: Settings = {},
): ClientHttp2Session {
  const session = connect(`http://${address}`, { settings, maxSessionMemory: UNREAD_MB_MAX });
  session.on("error", () => undefined);
  t.after(() => session.destroy());
  return session;
}

/** Opens a call; its request is the caller's to write. */
export function rawCall(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string> = {},
): ClientHttp2Stream {
  const fixed = { ":method": "POST", ":path": path, te: "trailers" };
  const stream = session.request({ ...fixed, "content-type": "application/grpc", ...headers });
  stream.on("error", () => undefined);
  return stream;
}

/** Reads a call to its end. */
export function endingOf(stream: ClientHttp2Stream): Promise<RawEnding> {
  let status: number | undefined;
  let message = "";
  let answerBytes = 0;
  const take = (headers: Record<string, unknown>) => {
    if (headers["grpc-status"] === undefined) return;
    status = Number(headers["grpc-status"]);
    message = decodeURI(String(headers["grpc-message"] ?? ""));
  };
  stream.on("response", take);
  stream.on("trailers", take);
  stream.on("data", (chunk: Buffer) => {
    answerBytes += chunk.byteLength;
  });
  return new Promise((resolve) => {
    stream.once("close", () =>
      resolve({ status, message, resetCode: stream.rstCode ?? 0, answerBytes }),
    );
  });
}

/** The five bytes before a message. */
export function messagePrefix(lengthBytes: number, isCompressed = false): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = isCompressed ? 1 : 0;
  prefix.writeUInt32BE(lengthBytes, 1);
  return prefix;
}

/** A message with its prefix. */
export function framed(message: Uint8Array, isCompressed = false): Buffer {
  return Buffer.concat([messagePrefix(message.byteLength, isCompressed), message]);
}
