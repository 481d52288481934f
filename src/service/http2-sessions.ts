/**
 * The HTTP/2 side of a grpc-js server, with the bounds that grpc-js has no
 * options for (1.14 hands Node two of its settings and no more).
 *
 *     stream window      how much of a request may be on its way; grpc-js: 64 KiB,
 *                        which is one request of 64 KiB a round trip
 *     connection window  the same for all calls of a connection together. Node gives
 *                        it back as soon as the bytes arrive, so it bounds no memory
 *     header list        the metadata of a call; grpc-js: 4 GiB
 *
 * grpc-js makes its HTTP/2 servers by calling the function `createServer` or
 * `createSecureServer` of the module object, and does so before
 * `createConnectionInjector` returns. For the length of that one call those two
 * functions are ours. If a later grpc-js does it in another way, the server does
 * not start: `created` stays undefined.
 *
 * What Node bounds by itself, and is left as it is: 1,000 resets at once and 33
 * a second (then GOAWAY), 1,000 invalid frames, 100 rejected streams, 128 header
 * fields, 1,000 unread replies to pings and settings.
 */
import http2, {
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { ConnectionInjector, Server, ServerCredentials } from "@grpc/grpc-js";

/** The bounds of sessions. */
export interface SessionBounds {
  readonly streamWindowBytes: number;
  readonly metadataBytesMax: number;
}

/** What wants to see streams. */
export interface StreamObserver {
  /** Before grpc-js sees the stream. */
  onStream(stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void;
  /** After grpc-js has made a call of it, or refused to. */
  afterStream(stream: ServerHttp2Stream): void;
}

/** Two full streams can be on their way; a third would wait for one of them. */
const STREAMS_PER_CONNECTION_WINDOW = 2;

/** Gives sockets to `server`, which speaks HTTP/2 on them within the bounds. */
export function injectorOf(
  server: Server,
  credentials: ServerCredentials,
  bounds: SessionBounds,
  observer: StreamObserver,
): ConnectionInjector {
  let created: Http2Server | undefined;
  const own = { createServer: http2.createServer, createSecureServer: http2.createSecureServer };
  const bounded = <Options extends http2.ServerOptions>(options: Options): Options => ({
    ...options,
    settings: {
      ...options.settings,
      initialWindowSize: bounds.streamWindowBytes,
      maxHeaderListSize: bounds.metadataBytesMax,
    },
  });
  const prepare = (made: Http2Server): Http2Server => {
    made.on("session", (session: ServerHttp2Session) => {
      session.setLocalWindowSize(bounds.streamWindowBytes * STREAMS_PER_CONNECTION_WINDOW);
    });
    made.on("stream", (stream, headers) => observer.onStream(stream, headers));
    created = made;
    return made;
  };
  Object.assign(http2, {
    createServer: (options: http2.ServerOptions) => prepare(own.createServer(bounded(options))),
    createSecureServer: (options: http2.SecureServerOptions) =>
      prepare(own.createSecureServer(bounded(options))),
  });
  try {
    const injector = server.createConnectionInjector(credentials);
    if (created === undefined) throw new Error("this grpc-js makes its HTTP/2 servers elsewhere");
    created.on("stream", (stream) => observer.afterStream(stream));
    return injector;
  } finally {
    Object.assign(http2, own);
  }
}
