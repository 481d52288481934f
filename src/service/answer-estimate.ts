/**
 * How large an answer may get, told from the request before it is answered: the
 * index knows the size of every record. So memory for large answers is waited
 * for before anything is read.
 *
 * A Scan waits for its own memory, message by message (engine/scan/scanner.ts).
 *
 * It is a guess: what it says too much is given back, and a record that is
 * replaced by a larger one meanwhile is counted as soon as it is read.
 */
import { KvService, KvTextService } from "../../gen/kvix/v1/kvix_pb.js";
import { PAGE_BYTES_MAX } from "../base/limits.js";
import { DOWNLOAD_PIECE_BYTES } from "../engine/downloads.js";
import { BARE_RECORD_BYTES } from "../engine/place.js";
import type { Store } from "../engine/store.js";
import { UNMET_MARK_BYTES } from "../engine/unmet-reader.js";
import { Malformed } from "../rpc/definition.js";
import type { AnswerEstimate } from "./call-gate.js";
import { MUTATION_RESULT_BYTES_MAX } from "./commit-answers.js";

/** What the estimates read of a request. */
interface KeyedRequest {
  readonly key?: Uint8Array;
  readonly keys?: readonly Uint8Array[];
  readonly keysOnly?: boolean;
  readonly returnPrevious?: boolean;
  readonly precondition?: object;
  /** Of a commit. */
  readonly conditions?: readonly { readonly key?: Uint8Array }[];
  readonly mutations?: readonly object[];
}

type Estimate = (request: KeyedRequest) => number;

/** The estimate for the calls of a store; `store` throws while there is none. */
export function answerEstimate(store: () => Store, messageBytesMax: number): AnswerEstimate {
  const keyed = keyedEstimates(store, messageBytesMax);
  const recordBytes = keyed.get;
  const pageBytes = (): number => Math.min(PAGE_BYTES_MAX, messageBytesMax);
  const batchBytes = ({ keys = [], keysOnly = false }: KeyedRequest): number => {
    let bytes = 0;
    for (const key of keys) {
      if (bytes >= pageBytes()) break;
      bytes += BARE_RECORD_BYTES + (keysOnly ? key.length : recordBytes({ key }));
    }
    return Math.min(bytes, pageBytes());
  };
  const byMethod: Readonly<Record<string, Estimate>> = {
    ...keyed,
    list: pageBytes,
    // A piece of it at a time.
    download: (request) => Math.min(recordBytes(request), DOWNLOAD_PIECE_BYTES),
    batchGet: batchBytes,
  };
  const byPath = new Map<string, Estimate>();
  for (const service of [KvService, KvTextService]) {
    for (const [localName, method] of Object.entries(service.method)) {
      const estimate = byMethod[localName];
      if (estimate !== undefined) byPath.set(`/${service.typeName}/${method.name}`, estimate);
    }
  }
  return (path, request) => {
    const estimate = byPath.get(path);
    if (estimate === undefined || request instanceof Malformed) return 0;
    try {
      // A record that does not fit a message is read all the same.
      return estimate(request as KeyedRequest);
    } catch {
      // A wrong key, or no store: the handler says so.
      return 0;
    }
  };
}

/** The estimate for an operation of a pipeline, by the local name of its rpc. */
export function operationEstimate(
  store: Store,
  messageBytesMax: number,
): (name: string, request: object) => number {
  const keyed = keyedEstimates(() => store, messageBytesMax);
  const byName: Readonly<Record<string, Estimate>> = keyed;
  return (name, request) => {
    try {
      return byName[name]?.(request) ?? 0;
    } catch {
      return 0;
    }
  };
}

/** Those that know the records by their keys. */
function keyedEstimates(
  store: () => Store,
  messageBytesMax: number,
): Readonly<Record<"get" | "set" | "delete" | "touch" | "commit", Estimate>> {
  const pageBytes = Math.min(PAGE_BYTES_MAX, messageBytesMax);
  const recordBytes = ({ key }: KeyedRequest): number =>
    key === undefined ? 0 : (store().exists(key)?.recordBytes ?? 0);
  // A write answers with a record only if it was asked for one, or if one stood in its way.
  const writeBytes = (request: KeyedRequest): number =>
    request.returnPrevious === true || request.precondition !== undefined
      ? recordBytes(request)
      : 0;
  const commitBytes = ({ conditions = [], mutations = [] }: KeyedRequest): number => {
    const results = mutations.length * MUTATION_RESULT_BYTES_MAX;
    let unmet = 0;
    for (const condition of conditions) {
      unmet += recordBytes(condition) + UNMET_MARK_BYTES;
      if (unmet >= pageBytes) return Math.max(results, pageBytes);
    }
    return Math.max(results, unmet);
  };
  return {
    get: recordBytes,
    set: writeBytes,
    delete: writeBytes,
    touch: writeBytes,
    commit: commitBytes,
  };
}
