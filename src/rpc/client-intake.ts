/**
 * The client's end of a stream of requests with one answer. A request is taken when
 * HTTP/2 has let it go, so whoever sends keeps one of them.
 */
import type {
  DescMessage,
  DescMethodClientStreaming,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { type Client, type ClientWritableStream, Metadata } from "@grpc/grpc-js";
import { methodDefinition } from "./definition.js";
import { fromCallStatus } from "./status.js";

/** A call under way. */
export class ClientIntake<Input extends DescMessage, Output extends DescMessage> {
  readonly #call: ClientWritableStream<MessageShape<Input>>;
  readonly #input: Input;
  /** Resolves to the answer, which may come before all is sent. */
  readonly answer: Promise<MessageShape<Output>>;
  #isAnswered = false;

  /** Begins the call. `deadlineMs`: Unix milliseconds. */
  constructor(
    client: Client,
    method: DescMethodClientStreaming<Input, Output>,
    deadlineMs: number | undefined,
  ) {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method, method);
    this.#input = method.input;
    let call: ClientWritableStream<MessageShape<Input>> | undefined;
    this.answer = new Promise((resolve, reject) => {
      call = client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        new Metadata(),
        deadlineMs === undefined ? {} : { deadline: deadlineMs },
        (error, response) => {
          this.#isAnswered = true;
          if (error !== null) reject(fromCallStatus(error) ?? error);
          // The deserializer gave a message of the method's output, never bytes.
          else resolve(response as MessageShape<Output>);
        },
      ) as ClientWritableStream<MessageShape<Input>>;
    });
    // Whoever sends may hear of it first.
    this.answer.catch(() => undefined);
    this.#call = call as unknown as ClientWritableStream<MessageShape<Input>>;
    // What fails is told by the answer.
    this.#call.on("error", () => undefined);
  }

  /** Whether the answer is there, and nothing more need be sent. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Resolves when the request is on its way, or the call is over. */
  async send(request: MessageInitShape<Input>): Promise<void> {
    const sent = new Promise<void>((resolve) => {
      this.#call.write(create(this.#input, request), () => resolve());
    });
    const over = this.answer.then(
      () => undefined,
      () => undefined,
    );
    await Promise.race([sent, over]);
  }

  /** Nothing more is sent. */
  end(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}
