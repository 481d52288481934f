/**
 * gRPC service definitions from protobuf descriptors, for both ends.
 *
 *     method.input   -> request bytes    (serialize, client)
 *     request bytes  -> method.input     (deserialize, server; bytes that are none: Malformed)
 *     method.output  -> response bytes   (serialize, server; encoded bytes pass as they are)
 *     response bytes -> method.output    (deserialize, client)
 *
 * A request that is no protobuf does not throw here: grpc-js would answer
 * INTERNAL and say nothing. It travels on as `Malformed`, and the call answers
 * INVALID_ARGUMENT.
 */
import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { decodeRequestBytes } from "./request-bytes.js";

/** An answer: a message, or the bytes of one. */
export type Answer<Output extends DescMessage> = MessageShape<Output> | Uint8Array;

/** What a server finds in place of a request that does not decode. */
export class Malformed {}

/** A grpc-js method over one descriptor. */
export type RpcMethod<Input extends DescMessage, Output extends DescMessage> = MethodDefinition<
  MessageShape<Input> | Malformed,
  Answer<Output>
>;

/** The messages that a method takes and gives. */
export interface MessagePair<Input extends DescMessage, Output extends DescMessage> {
  readonly input: Input;
  readonly output: Output;
}

/**
 * The method in grpc-js's terms, with the messages of `codec` (its own if left out) on
 * the wire. `isEncoded`: the messages that are received stay bytes.
 */
export function methodDefinition<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethod,
  codec: MessagePair<Input, Output>,
  isEncoded = false,
): RpcMethod<Input, Output> {
  const kind = method.methodKind;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: kind === "client_streaming" || kind === "bidi_streaming",
    responseStream: kind === "server_streaming" || kind === "bidi_streaming",
    requestSerialize: (request) => encode(codec.input, request as MessageShape<Input>),
    // Whoever wants bytes takes them for what they are.
    requestDeserialize: isEncoded
      ? (bytes) => bytes as unknown as MessageShape<Input>
      : (bytes) => decodeRequest(codec.input, bytes),
    responseSerialize: (answer) => encode(codec.output, answer),
    responseDeserialize: isEncoded ? (bytes) => bytes : (bytes) => fromBinary(codec.output, bytes),
  };
}

/**
 * All methods of a service, by their local names. `codec` is a service with the
 * same methods whose messages stand for this one's on the wire; of the methods in
 * `encoded` the requests stay bytes.
 */
export function serviceDefinition(
  service: DescService,
  codec: DescService = service,
  encoded: readonly string[] = [],
): ServiceDefinition {
  const methods: Record<string, RpcMethod<DescMessage, DescMessage>> = {};
  for (const [localName, method] of Object.entries(service.method)) {
    const twin = codec.method[localName];
    if (twin === undefined) throw new TypeError(`${codec.typeName} has no ${method.name}`);
    methods[localName] = methodDefinition(method, twin, encoded.includes(localName));
  }
  return methods;
}

/** The bytes of a message in a Buffer, which is what grpc-js takes, without a copy. */
function encode<Desc extends DescMessage>(desc: Desc, message: Answer<Desc>): Buffer {
  const bytes = message instanceof Uint8Array ? message : toBinary(desc, message);
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

function decodeRequest<Input extends DescMessage>(
  desc: Input,
  bytes: Uint8Array,
): MessageShape<Input> | Malformed {
  try {
    return decodeRequestBytes(desc, bytes);
  } catch {
    return new Malformed();
  }
}
