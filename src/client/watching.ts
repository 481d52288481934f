/**
 * A watch over the wire that goes on by itself when the connection breaks.
 *
 *     connected -> told up to a version -> broken -> connected again after that version
 *
 * Invariants
 *  1. Every change is told once: what goes on does so after the last version that was
 *     told whole. A commit that was told in part is told again from its beginning, and
 *     only whole commits are handed out.
 *  2. While the current state is told there is no version to go on from: then all of it
 *     is told anew, and the batch says so (`isRestart`).
 *  3. What cannot be gone on with is thrown: HISTORY_LOST, and whatever the server
 *     refuses for good.
 */

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type WatchEvent as EventMessage,
  KvService,
  WatchEventKind,
  type WatchResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { optionalBytesOf } from "../kv/data.js";
import { rangeOf } from "../kv/reads.js";
import { WatchBatches } from "../kv/watch-batches.js";
import { type EventParts, type WatchBatch, WatchEvent, type WatchOptions } from "../kv/watches.js";
import { listedPartsOf } from "./answers.js";
import type { Connection } from "./connection.js";
import { rangeFields } from "./ranges.js";
import { versionField } from "./requests.js";

const KINDS = {
  [WatchEventKind.SET]: "set",
  [WatchEventKind.DELETE]: "delete",
  [WatchEventKind.EXPIRE]: "expire",
} as const;

/** Watches a range of keys. */
export async function* watch(
  connection: Connection,
  options: WatchOptions,
): AsyncGenerator<WatchBatch, void, undefined> {
  const { signal, keysOnly = false } = options;
  const fixed = fixedFields(options);
  const batches = new WatchBatches();
  let { afterVersion } = options;
  let includeCurrent = options.includeCurrent === true;
  let wasTold = false;
  for (let failures = 0; ; ) {
    try {
      const from =
        afterVersion === undefined
          ? {}
          : { afterVersion: versionField(afterVersion, "after_version", 0) };
      const request = { ...fixed, ...from, includeCurrent };
      for await (const answer of connection.stream(KvService.method.watch, request, signal)) {
        failures = 0;
        connection.sawVersion(answer.storeVersion);
        const version = Number(answer.version);
        wasTold ||= answer.events.length > 0;
        // From here on it is known where to go on, be it from version 0, that of an empty
        // store. In a part of a commit it stands before that.
        if (version > 0 || !answer.current) {
          afterVersion = version;
          includeCurrent = false;
        }
        const batch = batches.take(partOf(answer, keysOnly));
        if (batch !== undefined) yield batch;
      }
      throw new KvixError("CONNECTION_LOST", "the stream ended early", { outcome: "none" });
    } catch (error) {
      if (!(error instanceof KvixError) || !connection.mayReconnect(error)) throw error;
      failures += 1;
      if (!(await connection.pause(failures, signal))) throw error;
      batches.restart(includeCurrent && wasTold);
    }
  }
}

function fixedFields(options: WatchOptions) {
  const { keysOnly = false, progressIntervalMs } = options;
  const key = optionalBytesOf(options.key, "key");
  return {
    ...rangeFields(rangeOf(options)),
    ...(key !== undefined && { key }),
    keysOnly,
    ...(progressIntervalMs !== undefined && {
      progressInterval: durationFromMs(Math.ceil(progressIntervalMs)),
    }),
  };
}

function partOf({ events, version, current, continues }: WatchResponse, keysOnly: boolean) {
  return {
    events: events.map((event) => new WatchEvent(eventPartsOf(event, keysOnly))),
    version: Number(version),
    isCurrent: current,
    continues,
  };
}

function eventPartsOf(event: EventMessage, keysOnly: boolean): EventParts {
  if (event.kind === WatchEventKind.UNSPECIFIED) throw new KvixError("NOT_UNDERSTOOD");
  const kind = KINDS[event.kind];
  const { key, version, expiresAtMs, recordBytes, record } = listedPartsOf(event, keysOnly);
  const told = kind === "set" ? record : undefined;
  return { kind, key, version, expiresAtMs, recordBytes, record: told };
}
