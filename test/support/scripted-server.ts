/** A gRPC server that does with each call what a test likes, byte by byte. */
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import type { KvixError } from "../../src/base/kvix-error.js";
import { toCallStatus } from "../../src/rpc/status.js";

/** Listens on a free port of the loopback until the test ends; "HOST:PORT". */
export function scriptedServer(
  t: TestContext,
  onCall: (call: ServerHttp2Stream, path: string) => void,
): Promise<string> {
  const server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (call, headers) => {
    call.on("error", () => undefined);
    onCall(call, String(headers[":path"]));
  });
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}

/** Sends a message of an answer. */
export function sendMessage<Schema extends DescMessage>(
  call: ServerHttp2Stream,
  schema: Schema,
  message: MessageInitShape<Schema>,
): void {
  begin(call);
  const bytes = toBinary(schema, create(schema, message));
  const header = Buffer.alloc(5);
  header.writeUInt32BE(bytes.length, 1);
  call.write(Buffer.concat([header, bytes]));
}

/** Ends the answer with an error of kvix's, after what was sent; without one, well. */
export function endWith(call: ServerHttp2Stream, error?: KvixError): void {
  begin(call);
  const trailers: Record<string, string> = { "grpc-status": "0" };
  if (error !== undefined) {
    const { code, details, metadata } = toCallStatus(error);
    const [bytes] = metadata.get("grpc-status-details-bin");
    trailers["grpc-status"] = String(code);
    trailers["grpc-message"] = details;
    trailers["grpc-status-details-bin"] = Buffer.from(bytes ?? "").toString("base64");
  }
  call.once("wantTrailers", () => call.sendTrailers(trailers));
  call.end();
}

function begin(call: ServerHttp2Stream): void {
  if (call.headersSent) return;
  const headers = { ":status": 200, "content-type": "application/grpc" };
  call.respond(headers, { waitForTrailers: true });
}
