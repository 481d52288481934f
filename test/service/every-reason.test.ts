/**
 * Every reason of the catalogue reaches a client over the wire, raised by what
 * raises it in life: a real store on a simulated machine behind a real server.
 * Or it is said here why it never does.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client, credentials } from "@grpc/grpc-js";
import { KvService, KvTextService } from "../../gen/kvix/v1/kvix_pb.js";
import { errorCatalogue, type Outcome, type Reason } from "../../src/base/error-catalogue.js";
import type { KvixError } from "../../src/base/kvix-error.js";
import {
  BATCH_MUTATIONS_MAX,
  SEGMENT_ID_MAX,
  VALUE_BYTES_MAX,
  VERSION_MAX,
} from "../../src/base/limits.js";
import { SNAPSHOT_LEASE_MS } from "../../src/engine/snapshots/snapshots.js";
import { WAITING_CALLS_MAX } from "../../src/engine/waiting-line.js";
import { segmentFileName } from "../../src/format/segment-name.js";
import type { RpcClient } from "../../src/rpc/client.js";
import { methodDefinition } from "../../src/rpc/definition.js";
import { fromCallStatus } from "../../src/rpc/status.js";
import { MESSAGE_BYTES_MAX } from "../../src/service/server-options.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { hostOf, imageOf, segmentDir, withManifest } from "../support/store-image.js";
import { bytes, Gate, Rig, type RigSetOptions, segmentFiles } from "../support/store-rig.js";
import { checksumOf } from "../support/transfers.js";
import { UploadCall, uploadClient } from "../support/upload-call.js";
import { startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";

const { get, set, delete: remove, touch } = KvService.method;
const MiB = 1024 * 1024;
const key = bytes("k");
const value = bytes("v");

/** Why a reason is never sent. */
const neverSent: Readonly<Partial<Record<Reason, string>>> = {
  CANCELLED: "who has given up does not listen: its own end of the wire tells it",
  OPTION_INVALID: "refused at opening, before anything is served",
  STORE_LOCKED: "refused at opening, before anything is served",
  LOCK_UNAVAILABLE: "refused at opening, before anything is served",
  FORMAT_TOO_NEW: "refused at opening, before anything is served",
  STORE_MISMATCH: "refused at opening, before anything is served",
  MANIFEST_DAMAGED: "refused at opening, before anything is served",
  STORE_DAMAGED: "refused at opening, before anything is served",
  INDEX_LIMIT_TOO_SMALL: "refused at opening, before anything is served",
  OPEN_FAILED: "refused at opening, before anything is served",
  REQUEST_IDS_FULL: "takes more requests than a test sends: test/engine/requests",
  UNREACHABLE: "a client's own: test/client/retries",
  CONNECTION_LOST: "a client's own: test/client/retries",
  DEADLINE_PASSED: "a client's own: test/client/retries",
  MESSAGE_TOO_LARGE: "a client's own: test/client/transport-errors",
  NOT_UNDERSTOOD: "a client's own: test/client/transport-errors",
};

/** A server over a store of a rig, and a client of it. */
async function serve(t: TestContext, rig: Rig, messageBytesMax?: number): Promise<RpcClient> {
  const unlimited = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
  const { client } = await startMemoryServer(t, {
    wrap: () => rig.store,
    channel: unlimited,
    ...(messageBytesMax !== undefined && { messageBytesMax }),
  });
  t.after(() => rig.store.close().catch(() => undefined));
  return client;
}

async function filledRig(options: Parameters<typeof Rig.open>[0] = {}): Promise<Rig> {
  const rig = await Rig.open(options);
  await rig.set("k", "value");
  return rig;
}

/** Damages the record of "k", which is the first. */
async function spoil(rig: Rig): Promise<void> {
  const [frame] = await rig.frames();
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  await flipBitAtRest(rig.sim.files, path, (frame.offset + frame.length - 1) * 8);
}

function failing(rig: Rig, operation: "write" | "read" | "syncData"): void {
  rig.injector = ({ op, path }) =>
    op === operation && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
}

/** Answers with what the reason is raised by, once it is raised. */
type Scene = (t: TestContext) => Promise<readonly Promise<unknown>[]>;

const scenes: Readonly<Partial<Record<Reason, Scene>>> = {
  KEY_EMPTY: async (t) => [(await serve(t, await Rig.open())).call(get, {})],

  KEY_TOO_LARGE: async (t) => {
    const client = await serve(t, await Rig.open());
    return [client.call(set, { key: new Uint8Array(65_536), value })];
  },

  VALUE_TOO_LARGE: async (t) => {
    const client = await serve(t, await Rig.open(), MESSAGE_BYTES_MAX);
    return [client.call(set, { key, value: new Uint8Array(VALUE_BYTES_MAX + 1) })];
  },

  BATCH_TOO_LARGE: async (t) => {
    const client = await serve(t, await Rig.open());
    const mutations = Array.from({ length: BATCH_MUTATIONS_MAX + 1 }, (_, at) => {
      return { mutation: { case: "delete", value: { key: bytes(String(at)) } } } as const;
    });
    return [client.call(KvService.method.commit, { mutations })];
  },

  FIELD_INVALID: async (t) => {
    const client = await serve(t, await filledRig());
    return [client.call(touch, { key }), client.call(KvService.method.list, { pageSize: -1 })];
  },

  NOT_A_NUMBER: async (t) => {
    const client = await serve(t, await filledRig());
    return [client.call(KvService.method.increment, { key })];
  },

  NUMBER_OVERFLOW: async (t) => {
    const client = await serve(t, await Rig.open());
    return [client.call(KvService.method.increment, { key, initial: 2n ** 63n - 1n })];
  },

  REQUEST_ID_REUSED: async (t) => {
    const client = await serve(t, await Rig.open());
    const requestId = Buffer.alloc(16, 1);
    await client.call(KvService.method.increment, { key, requestId });
    return [client.call(KvService.method.increment, { key, requestId, delta: 2n })];
  },

  NOT_TEXT: async (t) => {
    const rig = await Rig.open();
    await rig.store.set(key, Uint8Array.of(0xff), { kind: "never" });
    const client = await serve(t, rig);
    return [client.call(KvTextService.method.get, { key: "k" })];
  },

  RECORD_TOO_LARGE: async (t) => {
    const rig = await Rig.open({ segmentBytesMax: 64 * MiB });
    await rig.set("k", "x".repeat(5 * MiB));
    const client = await serve(t, rig);
    return [client.call(get, { key })];
  },

  OVERLOADED: async (t) => {
    const rig = await Rig.open({ inFlightBytesMax: MiB });
    const gate = new Gate();
    rig.injector = ({ op, path }) =>
      op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
    const taken: Promise<unknown>[] = [rig.set("k", "x".repeat(MiB))];
    for (let count = 0; count < WAITING_CALLS_MAX; count += 1) {
      taken.push(rig.store.delete(key, { durability: "buffered" }));
    }
    t.after(() => Promise.all(taken));
    const client = await serve(t, rig);
    const refused = client.call(set, { key, value });
    await Promise.allSettled([refused]);
    gate.open();
    return [refused];
  },

  NO_SPACE: async (t) => {
    const rig = await filledRig({ diskReserveBytes: 16 * MiB });
    const used = rig.sim.files.capacityBytes - rig.sim.files.freeBytes("/store");
    rig.sim.files.capacityBytes = used + 16 * MiB - 1;
    await rig.sim.clock.advance(300);
    const client = await serve(t, rig);
    const expiry = { case: "persist", value: true } as const;
    return [client.call(set, { key, value }), client.call(touch, { key, expiry })];
  },

  INDEX_FULL: async (t) => {
    const rig = await filledRig();
    const { indexBytes } = rig.store.stats();
    const full = await rig.reopened({ indexBytesMax: indexBytes });
    const client = await serve(t, full);
    const more: RigSetOptions = { durability: "buffered" };
    for (let count = 0; count < 100_000; count += 1) {
      const key = `another-${count}`;
      if (
        !(await full
          .set(key, "1", more)
          .then(() => true)
          .catch(() => false))
      )
        break;
    }
    return [client.call(set, { key: bytes("one more"), value })];
  },

  WRITE_FAILED: async (t) => {
    const rig = await filledRig();
    const client = await serve(t, rig);
    failing(rig, "write");
    return [client.call(set, { key, value })];
  },

  SYNC_FAILED: async (t) => {
    const rig = await filledRig();
    const client = await serve(t, rig);
    failing(rig, "syncData");
    return [client.call(set, { key, value })];
  },

  STORE_READ_ONLY: async (t) => {
    const rig = await filledRig();
    const client = await serve(t, rig);
    failing(rig, "syncData");
    await rig.set("k", "2").catch(() => undefined);
    const expiry = { case: "persist", value: true } as const;
    return [client.call(set, { key, value }), client.call(touch, { key, expiry })];
  },

  STORE_STARTING: async (t) => {
    const { client } = await startMemoryServer(t, { isStarting: true });
    return [client.call(get, { key }), client.call(KvService.method.list, {})];
  },

  REQUEST_TOO_SLOW: async (t) => {
    const { address } = await startMemoryServer(t, { options: { messageTimeoutMs: 1000 } });
    const { path, requestSerialize, responseDeserialize } = methodDefinition(set, set);
    const client = new Client(address, credentials.createInsecure());
    t.after(() => client.close());
    const answered = new Promise((resolve, reject) => {
      // A Set that is begun and never sent.
      client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        (error, answer) =>
          error === null ? resolve(answer) : reject(fromCallStatus(error) ?? error),
      );
    });
    return [answered];
  },

  STORE_CLOSING: async (t) => {
    const rig = await filledRig();
    const client = await serve(t, rig);
    await rig.store.close();
    return [client.call(get, { key }), client.call(KvService.method.list, {})];
  },

  VERSIONS_EXHAUSTED: async (t) => {
    const first = await filledRig();
    await first.store.close();
    const image = withManifest(imageOf(first.sim.files), (manifest) => {
      manifest.versionMark = BigInt(VERSION_MAX);
      assert.ok(manifest.clean);
      manifest.clean.lastVersion = BigInt(VERSION_MAX - 1);
    });
    const rig = await Rig.open({}, hostOf(image, first.sim.clock));
    await rig.set("k", "the last");
    const client = await serve(t, rig);
    return [client.call(set, { key, value }), client.call(remove, { key })];
  },

  SEGMENTS_EXHAUSTED: async (t) => {
    const first = await filledRig({ segmentBytesMax: 600 });
    await first.store.close();
    const image = new Map(imageOf(first.sim.files));
    for (let id = 1; id <= SEGMENT_ID_MAX; id += 1) {
      image.set(`${segmentDir}/${segmentFileName("segment", id, 1n)}`, new Uint8Array(0));
    }
    const rig = await Rig.open(first.options, hostOf(image, first.sim.clock));
    const client = await serve(t, rig);
    return [client.call(set, { key, value: new Uint8Array(1000) })];
  },

  RECORD_CORRUPT: async (t) => {
    const rig = await filledRig();
    await spoil(rig);
    const client = await serve(t, rig);
    const expiry = { case: "persist", value: true } as const;
    return [client.call(get, { key }), client.call(touch, { key, expiry })];
  },

  PREVIOUS_CORRUPT: async (t) => {
    const rig = await filledRig();
    await spoil(rig);
    const client = await serve(t, rig);
    return [client.call(set, { key, value, returnPrevious: true })];
  },

  READ_FAILED: async (t) => {
    const rig = await filledRig();
    const client = await serve(t, rig);
    failing(rig, "read");
    return [client.call(get, { key })];
  },

  UPLOAD_MISMATCH: async (t) => {
    const { address } = await startMemoryServer(t);
    const client = uploadClient(address);
    t.after(() => client.close());
    const call = new UploadCall(client);
    void call.header({ key, valueBytes: 2n });
    void call.chunk(value);
    void call.part({ case: "end", value: { crc32: checksumOf(value) } });
    call.close();
    return [call.answer];
  },

  HISTORY_LOST: async (t) => {
    const { client } = await startMemoryServer(t);
    return [client.stream(KvService.method.watch, { afterVersion: 1n }).next()];
  },

  SNAPSHOT_ENDED: async (t) => {
    const rig = await Rig.open({ segmentBytesMax: 64 * MiB });
    // Each is a message of its own; a client takes some twenty before it is asked for them.
    for (let at = 0; at < 100; at += 1) await rig.set(`k${at}`, "x".repeat(70_000));
    const client = await serve(t, rig);
    const answers = client.stream(KvService.method.scan, {});
    await answers.next();
    await rig.sim.clock.advance(SNAPSHOT_LEASE_MS);
    const toItsEnd = async (): Promise<void> => {
      for await (const _answer of answers);
    };
    return [toItsEnd()];
  },

  INTERNAL_BUG: async (t) => {
    const rig = await filledRig();
    const client = await serve(t, rig);
    t.mock.method(rig.store, "exists", () => {
      throw new TypeError("a defect");
    });
    return [client.call(KvService.method.exists, { key })];
  },
};

/** What became of a write where the catalogue cannot know. */
const knownBetter: Readonly<Partial<Record<Reason, readonly Outcome[]>>> = {
  // A Get writes nothing, a Touch of the same record is not applied.
  RECORD_CORRUPT: ["none", "not-applied"],
};

test("every reason is raised here, or it is said why it is never sent", () => {
  const told = [...Object.keys(scenes), ...Object.keys(neverSent)];
  assert.deepEqual(told.sort(), Object.keys(errorCatalogue).sort());
});

for (const [reason, scene] of Object.entries(scenes) as [Reason, Scene][]) {
  test(`P7: a client is told ${reason} when it comes to that`, { timeout: 120_000 }, async (t) => {
    const calls = await scene(t);
    const errors: KvixError[] = [];
    for (const call of calls) errors.push(await refusal(call, reason));
    const outcomes = knownBetter[reason] ?? errors.map(() => errorCatalogue[reason].outcome);
    assert.deepEqual(
      errors.map(({ outcome }) => outcome),
      outcomes,
    );
  });
}
