/** A client's end of Upload, on grpc-js itself: parts go out as it is told to send them. */
import { crc32 } from "node:zlib";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Client, type ClientWritableStream, credentials, type ServiceError } from "@grpc/grpc-js";
import {
  KvService,
  type UploadHeaderSchema,
  type UploadRequest,
  UploadRequestSchema,
  type UploadResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { methodDefinition } from "../../src/rpc/definition.js";
import { fromCallStatus } from "../../src/rpc/status.js";

const { path, requestSerialize, responseDeserialize } = methodDefinition(
  KvService.method.upload,
  KvService.method.upload,
);

const nothing = (): void => undefined;

/** What a request of an upload bears. */
export type Part = NonNullable<MessageInitShape<typeof UploadRequestSchema>["part"]>;

/** One Upload. */
export class UploadCall {
  /** How it ended: the answer, or a throw of the KvixError that the server threw. */
  readonly answer: Promise<UploadResponse>;
  readonly #stream: ClientWritableStream<UploadRequest>;

  constructor(client: Client, options: { readonly deadline?: number } = {}) {
    let settle: (error: ServiceError | null, response?: unknown) => void = () => undefined;
    this.answer = new Promise((resolve, reject) => {
      settle = (error, response) => {
        if (error !== null) reject(fromCallStatus(error) ?? error);
        // The deserializer gave a message of the method's output, never bytes.
        else resolve(response as UploadResponse);
      };
    });
    // Who does not wait for it has seen its end in another way.
    this.answer.catch(() => undefined);
    this.#stream = client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      options,
      (error: ServiceError | null, response?: unknown) => settle(error, response),
    ) as ClientWritableStream<UploadRequest>;
    this.#stream.on("error", () => undefined);
  }

  /** Resolves when the part has left; also if nobody wants it any more. */
  part(part: Part): Promise<void> {
    const request = create(UploadRequestSchema, { part });
    // Of one that is over grpc-js may forget who waits.
    const over = this.answer.then(nothing, nothing);
    return Promise.race([
      over,
      new Promise<void>((resolve) => this.#stream.write(request, () => resolve())),
    ]);
  }

  header(value: MessageInitShape<typeof UploadHeaderSchema>): Promise<void> {
    return this.part({ case: "header", value });
  }

  chunk(value: Uint8Array): Promise<void> {
    return this.part({ case: "chunk", value });
  }

  /** The client has no more to send. */
  close(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

/** A connection to a server. */
export function uploadClient(address: string): Client {
  return new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
}

/** A whole upload. */
export async function uploadOver(
  client: Client,
  header: MessageInitShape<typeof UploadHeaderSchema>,
  value: Uint8Array,
  chunkBytes = 256 * 1024,
): Promise<UploadResponse> {
  const call = new UploadCall(client);
  void call.header({ valueBytes: BigInt(value.length), ...header });
  let checksum = 0;
  for (let at = 0; at < value.length; at += chunkBytes) {
    const chunk = value.subarray(at, at + chunkBytes);
    const sent = call.chunk(chunk);
    // While it is on its way, so that the end follows the last chunk at once.
    checksum = crc32(chunk, checksum);
    await sent;
  }
  void call.part({ case: "end", value: { crc32: checksum } });
  call.close();
  return await call.answer;
}
