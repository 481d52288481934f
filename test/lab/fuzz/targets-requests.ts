/**
 * Requests: the bytes of a message as a client sends them. Once straight into the
 * handlers, which is quick, and once over a connection to a real server.
 *
 *     byte 0: which method    the rest: the message
 */
import { type ClientHttp2Session, connect } from "node:http2";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  DownloadRequestSchema,
  GetRequestSchema,
  KvService,
  KvTextService,
  ListRequestSchema,
  SetRequestSchema,
  TouchRequestSchema,
  UploadRequestSchema,
} from "../../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import { kvHandlers } from "../../../src/service/kv-service.js";
import { kvTextHandlers } from "../../../src/service/kv-text-service.js";
import { startMemoryServer } from "../../service/memory-server.js";
import { MemoryStore } from "../../support/memory-store.js";
import { endingOf, framed, messagePrefix, rawCall } from "../../support/raw-grpc.js";
import { FuzzFinding, type FuzzTarget, requireThat } from "./fuzz-target.js";

const MESSAGE_BYTES_MAX = 1_048_576;
/** A store in memory forgets nothing; another takes its place after so many requests. */
const REQUESTS_OF_A_STORE = 4000;

/** A Watch goes on for ever, and a Pipeline is no answer to one request: they have tests of their own. */
const methods = Object.entries(KvService.method).filter(
  ([name]) => name !== "watch" && name !== "pipeline",
);

/** A method of one of the two services that take the same messages. */
function methodOf(bytes: Uint8Array) {
  const first = bytes[0] ?? 0;
  const [name, method] = methods[(first >> 1) % methods.length] as (typeof methods)[number];
  return { name, method, isText: (first & 1) === 1 };
}

function seeds(): Uint8Array[] {
  const key = Buffer.from("user:1");
  const messages: readonly [DescMessage, Uint8Array][] = [
    [GetRequestSchema, toBinary(GetRequestSchema, create(GetRequestSchema, { key }))],
    [
      SetRequestSchema,
      toBinary(
        SetRequestSchema,
        create(SetRequestSchema, {
          key,
          value: Buffer.from("Ada"),
          expiry: { case: "ttl", value: { seconds: 60n, nanos: 5 } },
          precondition: { condition: { case: "version", value: 3n } },
          returnPrevious: true,
          durability: 1,
        }),
      ),
    ],
    [
      TouchRequestSchema,
      toBinary(
        TouchRequestSchema,
        create(TouchRequestSchema, {
          key,
          expiry: { case: "expireTime", value: { seconds: 1_900_000_000n, nanos: 999_999_999 } },
        }),
      ),
    ],
    [
      ListRequestSchema,
      toBinary(
        ListRequestSchema,
        create(ListRequestSchema, { prefix: key, pageSize: 3, pageToken: "AQAA", reverse: true }),
      ),
    ],
    [
      UploadRequestSchema,
      toBinary(
        UploadRequestSchema,
        create(UploadRequestSchema, { part: { case: "header", value: { key, valueBytes: 3n } } }),
      ),
    ],
    [
      DownloadRequestSchema,
      toBinary(DownloadRequestSchema, create(DownloadRequestSchema, { key })),
    ],
  ];
  return messages.flatMap(([schema, message]) => {
    const at = methods.findIndex(([, method]) => method.input === schema);
    return [0, 1].map((text) => new Uint8Array(Buffer.concat([Buffer.of(2 * at + text), message])));
  });
}

type Handler = (request: unknown, context: { signal: AbortSignal }) => unknown;

/** What a handler answers to one request: one message, or as many as it likes. */
async function answersOf(
  handler: Handler,
  { methodKind }: DescMethod,
  request: unknown,
  signal: AbortSignal,
): Promise<unknown[]> {
  if (methodKind === "client_streaming") {
    const requests = [request].values();
    const answer = await handler({ next: async () => requests.next() }, { signal });
    return [answer];
  }
  const answer = await handler(request, { signal });
  if (methodKind !== "server_streaming") return [answer];
  const answers: unknown[] = [];
  for await (const each of answer as AsyncIterable<unknown>) answers.push(each);
  return answers;
}

/** Requests straight into the handlers. */
export const requestTarget: FuzzTarget = (() => {
  const { signal } = new AbortController();
  let served = 0;
  let handlers: Readonly<Record<"bytes" | "text", Readonly<Record<string, unknown>>>>;
  const renew = (): void => {
    const store = new MemoryStore(() => Date.UTC(2030, 0, 1));
    const clock = { wallMs: () => Date.UTC(2030, 0, 1) };
    const context = { store, clock, messageBytesMax: MESSAGE_BYTES_MAX };
    handlers = { bytes: kvHandlers(context), text: { ...kvTextHandlers(context) } };
  };
  renew();
  return {
    name: "request",
    sentence:
      "a request of either service, into its handler: an answer that its client reads, or a reason that is the caller's fault",
    lengthMax: 600,
    executions: 15_000,
    seeds,
    async execute(bytes) {
      if (served++ % REQUESTS_OF_A_STORE === 0) renew();
      const { name, method, isText } = methodOf(bytes);
      const { input, output }: { input: DescMessage; output: DescMessage } = method;
      let request: unknown;
      try {
        request = fromBinary(input, bytes.subarray(1));
      } catch {
        return;
      }
      try {
        const handler = handlers[isText ? "text" : "bytes"][name] as Handler;
        const answers = await answersOf(handler, method, request, signal);
        const textOutput = KvTextService.method[name as keyof typeof KvTextService.method]?.output;
        const read = isText && textOutput !== undefined ? textOutput : output;
        for (const answer of answers) {
          // A message that is not encoded yet is what it is.
          if (answer instanceof Uint8Array) fromBinary(read, answer);
        }
      } catch (error) {
        requireThat(error instanceof KvixError, `${name}: ${String(error)}`);
        requireThat(error.reason !== "INTERNAL_BUG", `${name}: ${error.message}`);
      }
    },
  };
})();

/** What a request may end with: anything but a server that does not know what happened to it. */
const unstated: readonly number[] = [status.UNKNOWN, status.INTERNAL, status.UNAVAILABLE];
/** So many calls share a connection. */
const CALLS_OF_A_CONNECTION = 500;

/** Requests over a connection, at times with a broken prefix. */
export const wireTarget: FuzzTarget = (() => {
  const endings: (() => Promise<void> | void)[] = [];
  let address: string | undefined;
  let session: ClientHttp2Session | undefined;
  let calls = 0;
  const connected = async (): Promise<ClientHttp2Session> => {
    if (address === undefined) {
      const scope = { after: (end: () => Promise<void>) => void endings.push(end) };
      const options = { messageBytesMax: MESSAGE_BYTES_MAX };
      ({ address } = await startMemoryServer(scope, options));
    }
    if (session === undefined || session.destroyed || calls++ % CALLS_OF_A_CONNECTION === 0) {
      session?.destroy();
      session = connect(`http://${address}`);
      session.on("error", () => undefined);
    }
    return session;
  };
  return {
    name: "wire",
    sentence:
      "a request over a connection to a real server, its prefix broken at times: a stated status, and the server lives",
    lengthMax: 600,
    executions: 300,
    seeds,
    async execute(bytes) {
      const { name, isText } = methodOf(bytes);
      const service = isText ? "kvix.v1.KvTextService" : "kvix.v1.KvService";
      const method = `${name[0]?.toUpperCase()}${name.slice(1)}`;
      const call = rawCall(await connected(), `/${service}/${method}`);
      const message = bytes.subarray(1);
      call.end(prefixed(message));
      const ending = await endingOf(call);
      const isStated = ending.status !== undefined && !unstated.includes(ending.status);
      if (!isStated && ending.resetCode === 0) {
        throw new FuzzFinding(`${method} ended with status ${ending.status}: ${ending.message}`);
      }
      requireThat(!ending.message.startsWith("INTERNAL_BUG"), `${method}: ${ending.message}`);
    },
    async close() {
      session?.destroy();
      for (const end of endings.splice(0)) await end();
      address = undefined;
    },
  };
})();

/** The message behind its length, or, told by its own bytes, behind another one or marked as compressed. */
function prefixed(message: Uint8Array): Buffer {
  switch (message.length % 16) {
    case 7:
      return Buffer.concat([messagePrefix(message.length + 1), message]);
    case 8:
      return framed(message, true);
    case 9:
      return Buffer.concat([messagePrefix(Math.max(0, message.length - 2)), message]);
    default:
      return framed(message);
  }
}
