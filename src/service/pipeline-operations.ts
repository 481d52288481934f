/** The operations of a pipeline: which request each takes, which keys it names, who answers it. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import {
  type CommitRequest,
  CommitRequestSchema,
  DeleteRequestSchema,
  ExistsRequestSchema,
  GetRequestSchema,
  IncrementRequestSchema,
  SetRequestSchema,
  TouchRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { CallContext } from "../rpc/calls.js";
import { decodeRequestBytes } from "../rpc/request-bytes.js";
import { laneOf } from "./key-lanes.js";
import type { KvHandlers } from "./kv-service.js";
import { quickKey, quickSet } from "./quick-requests.js";

/** The name of an operation: that of its rpc. */
export type OperationName = "get" | "exists" | "set" | "delete" | "touch" | "increment" | "commit";

/** One kind of operation. */
export interface OperationKind {
  readonly name: OperationName;
  /** It changes nothing. */
  readonly isRead: boolean;
  /** Decodes the request from `start` to `end`. Throws FIELD_INVALID if the bytes are none. */
  readonly decode: (bytes: Uint8Array, start: number, end: number) => object;
  /** The lanes of the keys that a request names. */
  readonly lanesOf: (request: object) => readonly number[];
  /** What it takes of memory while it waits, beside the bytes that it came in. */
  readonly costOf: (request: object) => number;
  /** Answers a request: encoded, at once or later. */
  readonly answer: (
    handlers: KvHandlers,
    request: object,
    context: CallContext,
  ) => Uint8Array | Promise<Uint8Array>;
}

/** Every kind, by the number of its field. */
export const operationKinds: ReadonlyMap<number, OperationKind> = new Map([
  [3, keyed("get", GetRequestSchema, true, quickKey)],
  [4, keyed("exists", ExistsRequestSchema, true, quickKey)],
  [5, keyed("set", SetRequestSchema, false, quickSet)],
  [6, keyed("delete", DeleteRequestSchema, false)],
  [7, keyed("touch", TouchRequestSchema, false)],
  [8, keyed("increment", IncrementRequestSchema, false)],
  [9, { ...operation("commit", CommitRequestSchema, false, commitLanes), costOf: commitCost }],
]);

/** What any operation takes: its objects, its place in the queue of writes. */
const OPERATION_BYTES = 512;
/** What a change or a condition of a commit takes: its message, its key, and what the engine makes of it. */
const COMMIT_PART_BYTES = 256;

type QuickDecode = (bytes: Uint8Array, start: number, end: number) => object | undefined;

/** An operation on one key. `quick` decodes what it is made for, and gives nothing otherwise. */
function keyed<Request extends DescMessage>(
  name: OperationName,
  schema: Request,
  isRead: boolean,
  quick?: QuickDecode,
): OperationKind {
  const lanesOf = (request: object) => [laneOf((request as { readonly key: Uint8Array }).key)];
  return operation(name, schema, isRead, lanesOf, quick);
}

function operation<Request extends DescMessage>(
  name: OperationName,
  schema: Request,
  isRead: boolean,
  lanesOf: (request: MessageShape<Request>) => readonly number[],
  quick: QuickDecode = () => undefined,
): OperationKind {
  type Handler = (request: object, context: CallContext) => Uint8Array | Promise<Uint8Array>;
  return {
    name,
    isRead,
    decode: (bytes, start, end) =>
      quick(bytes, start, end) ?? decode(schema, bytes.subarray(start, end)),
    // The request is what `decode` gave.
    lanesOf: (request) => lanesOf(request as MessageShape<Request>),
    costOf: () => OPERATION_BYTES,
    // The schema is that of the handler's request, and kvHandlers answer with bytes.
    answer: (handlers, request, context) => (handlers[name] as Handler)(request, context),
  };
}

/** A commit is ordered by every key that it changes or asks about. */
function commitLanes({ conditions, mutations }: CommitRequest): readonly number[] {
  const lanes = new Set(conditions.map(({ key }) => laneOf(key)));
  for (const { mutation } of mutations) {
    if (mutation.case !== undefined) lanes.add(laneOf(mutation.value.key));
  }
  return [...lanes];
}

/** The request is what `decode` gave. */
function commitCost(request: object): number {
  const { conditions, mutations } = request as CommitRequest;
  return OPERATION_BYTES + (conditions.length + mutations.length) * COMMIT_PART_BYTES;
}

function decode<Request extends DescMessage>(
  schema: Request,
  bytes: Uint8Array,
): MessageShape<Request> {
  try {
    return decodeRequestBytes(schema, bytes);
  } catch {
    throw new KvixError("FIELD_INVALID", "the operation is no protobuf message of its type");
  }
}
