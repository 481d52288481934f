/** AdminService over the wire: what it tells of a store that is well, and of one that is not. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  AdminService,
  Durability,
  KvService,
  KvTextService,
  SegmentState,
  ServerState,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import {
  KEY_BYTES_MAX,
  PAGE_BYTES_MAX,
  PAGE_RECORDS_MAX,
  VALUE_BYTES_MAX,
} from "../../src/base/limits.js";
import { buildVersion } from "../../src/base/version.js";
import { adminHandlers } from "../../src/service/admin-service.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, segmentFiles } from "../support/store-rig.js";
import { ManualClock, type MemoryServer, startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";

const { getStatus, stats, listSegments, sync } = AdminService.method;
const MiB = 1024 * 1024;

/** A server over the store of a rig. */
async function serve(t: TestContext, rig: Rig): Promise<MemoryServer> {
  t.after(() => rig.store.close().catch(() => undefined));
  return await startMemoryServer(t, { wrap: () => rig.store });
}

test("GetStatus says what is running, its limits and options, and since when", async (t) => {
  const rig = await Rig.open({ durability: "buffered", flushIntervalMs: 250 });
  const { client, clock } = await serve(t, rig);
  await rig.set("a", "1");
  const status = await client.call(getStatus, {});
  assert.equal(status.kvixVersion, buildVersion);
  assert.match(buildVersion, /^\d+\.\d+\.\d+/);
  assert.equal(status.nodeVersion, process.version);
  assert.equal(status.platform, `${process.platform} ${process.arch}`);
  assert.equal(status.state, ServerState.SERVING);
  assert.deepEqual([status.reasons, status.damage, status.damageCount], [[], [], 0]);
  const { limits } = status;
  assert.deepEqual(
    [limits?.keyBytesMax, limits?.valueBytesMax, limits?.messageBytesMax],
    [KEY_BYTES_MAX, VALUE_BYTES_MAX, 4 * MiB],
  );
  assert.deepEqual([limits?.pageSizeMax, limits?.pageBytesMax], [PAGE_RECORDS_MAX, PAGE_BYTES_MAX]);
  assert.equal(status.durability, Durability.BUFFERED);
  assert.equal(status.flushInterval && durationMs(status.flushInterval), 250);
  assert.deepEqual(status.features, status.features.toSorted());
  for (const feature of ["admin", "commit", "compact", "list", "scan", "touch", "watch"]) {
    assert.ok(status.features.includes(feature), feature);
  }
  assert.equal(status.startTime && timestampMs(status.startTime), clock.nowMs);
  assert.ok(status.uptime && durationMs(status.uptime) >= 0);
  assert.equal(status.storeVersion, 1n);
});

test("GetStatus answers while the store is opening; the rest is STORE_STARTING", async () => {
  const handlers = adminHandlers({
    store: () => {
      throw new KvixError("STORE_STARTING");
    },
    status: () => ({
      state: "starting",
      reasons: [{ state: "starting", message: "the store is opening" }],
    }),
    counts: () => [],
    clock: new ManualClock(),
    messageBytesMax: 4 * MiB,
  });
  const context = { signal: new AbortController().signal };
  const status = await handlers.getStatus({} as never, context);
  assert.ok(!(status instanceof Uint8Array));
  assert.equal(status.state, ServerState.STARTING);
  assert.equal(status.reasons[0]?.message, "the store is opening");
  assert.deepEqual([status.storeVersion, status.compaction], [0n, undefined]);
  const segments = { pageSize: 0, pageToken: "" } as never;
  for (const call of [handlers.stats, handlers.listSegments, handlers.sync, handlers.compact]) {
    const answer = (async () => call(segments, context))();
    await refusal(answer, "STORE_STARTING");
  }
});

test("V13: GetStatus names damage, and the worst of the states that hold, with a reason for each", async (t) => {
  const rig = await Rig.open({ diskReserveBytes: 16 * MiB });
  const { client } = await serve(t, rig);
  const state = async () => {
    const status = await client.call(getStatus, {});
    for (const { message } of status.reasons) assert.notEqual(message, "");
    return [status.state, ...status.reasons.map((reason) => reason.state)];
  };
  await rig.set("a", "1");
  assert.deepEqual(await state(), [ServerState.SERVING]);
  const [frame] = await rig.frames();
  assert.ok(frame);
  await flipBitAtRest(rig.sim.files, `/store/segments/${frame.segment}`, (frame.length - 1) * 8);
  await refusal(client.call(KvService.method.get, { key: bytes("a") }), "RECORD_CORRUPT");
  const { DEGRADED, FULL, LATCHED } = ServerState;
  assert.deepEqual(await state(), [DEGRADED, DEGRADED]);
  const { damage, damageCount } = await client.call(getStatus, {});
  assert.equal(damageCount, 1);
  const [{ $typeName: _, ...range } = assert.fail("no range")] = damage;
  assert.deepEqual(range, {
    file: frame.segment,
    offset: BigInt(frame.offset),
    length: BigInt(frame.length),
    firstVersion: 1n,
    lastVersion: 1n,
    keysUnknown: false,
  });
  const used = rig.sim.files.capacityBytes - rig.sim.files.freeBytes("/store");
  rig.sim.files.capacityBytes = used + 16 * MiB - 1;
  await rig.sim.clock.advance(300);
  await refusal(client.call(KvService.method.set, { key: bytes("b") }), "NO_SPACE");
  assert.deepEqual(await state(), [FULL, DEGRADED, FULL]);
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await refusal(client.call(KvService.method.delete, { key: bytes("a") }), "SYNC_FAILED");
  assert.deepEqual(await state(), [LATCHED, DEGRADED, LATCHED, FULL]);
});

test("I8: Stats gives the figures of the store, of its opening, and of each rpc", async (t) => {
  const first = await Rig.open();
  await first.set("old", "1");
  const rig = await first.killed();
  const { client } = await serve(t, rig);
  const { set, get, exists, list } = KvService.method;
  await client.call(set, { key: bytes("a"), value: bytes("1") });
  await client.call(set, { key: bytes("a"), value: bytes("2") });
  await client.call(get, { key: bytes("a") });
  await refusal(client.call(get, {}));
  await refusal(client.call(exists, {}));
  await client.call(list, {});
  const answer = await client.call(stats, {});
  const known = rig.store.stats();
  assert.equal(answer.keys, 2n);
  assert.equal(answer.liveBytes, BigInt(known.liveBytes));
  assert.equal(answer.deadBytes, BigInt(known.deadBytes));
  assert.ok(answer.liveBytes > 0n && answer.deadBytes > 0n);
  assert.equal(answer.segments, known.segments);
  assert.equal(answer.indexBytes, BigInt(known.indexBytes));
  assert.equal(answer.freeBytes, BigInt(known.freeBytes));
  assert.equal(answer.durableVersion, BigInt(rig.store.version));
  assert.equal(answer.storeVersion, BigInt(rig.store.version));
  assert.equal(answer.syncs, BigInt(known.syncs));
  assert.equal(answer.groups, 2n);
  assert.equal(answer.appendedBytes, BigInt(known.bytesAppended));
  assert.deepEqual([answer.inFlightBytes, answer.waitingCalls, answer.pageBytes], [0n, 0, 0n]);
  assert.deepEqual([answer.expiredKeys, answer.sweepPausedBecause], [0n, ""]);
  assert.ok(answer.residentBytes > 10n * BigInt(MiB));
  const { open } = answer;
  assert.equal(open?.wasClean, false);
  assert.equal(open?.segmentsScanned, known.open.segmentsScanned);
  assert.equal(open?.scannedBytes, BigInt(known.open.bytesScanned));
  assert.equal(open?.rewrittenBytes, BigInt(known.open.bytesWrittenAgain));
  assert.equal(open?.fromCheckpoint, known.open.fromCheckpoint);
  assert.ok(open?.duration);
  const counts = new Map(answer.rpcs.map((rpc) => [rpc.method, [rpc.calls, rpc.errors]]));
  assert.deepEqual(counts.get("kvix.v1.KvService/Set"), [2n, 0n]);
  assert.deepEqual(counts.get("kvix.v1.KvService/Get"), [2n, 1n]);
  assert.deepEqual(counts.get("kvix.v1.KvService/Exists"), [1n, 1n]);
  assert.deepEqual(counts.get("kvix.v1.KvService/List"), [1n, 0n]);
  assert.deepEqual(counts.get("kvix.v1.KvTextService/Touch"), [0n, 0n]);
  assert.deepEqual(counts.get("kvix.v1.AdminService/Stats"), [0n, 0n], "itself not yet");
  const services = [KvService, KvTextService, AdminService];
  assert.equal(counts.size, services.flatMap(({ methods }) => methods).length);
});

test("ListSegments names every file of the store, oldest first, page after page", async (t) => {
  const rig = await Rig.open({ segmentBytesMax: 300 });
  const { client } = await serve(t, rig);
  assert.deepEqual((await client.call(listSegments, {})).segments, []);
  for (let index = 0; index < 12; index += 1) await rig.set(`key-${index % 3}`, "x".repeat(100));
  const { segments, nextPageToken, storeVersion } = await client.call(listSegments, {});
  assert.deepEqual([nextPageToken, storeVersion], ["", 12n]);
  const files = (await rig.sim.files.list("/store/segments")).map(({ name }) => name);
  assert.deepEqual(
    segments.map(({ file }) => file),
    files.filter((name) => segmentFiles.test(name)).sort(),
  );
  assert.ok(segments.length > 3);
  const frames = await rig.frames();
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    assert.equal(segment.state, isLast ? SegmentState.ACTIVE : SegmentState.SEALED);
    const own = frames.filter((frame) => frame.segment === segment.file);
    const versions = own.flatMap(({ records }) => records.map(({ version }) => BigInt(version)));
    assert.deepEqual(
      [segment.lowestVersion, segment.highestVersion],
      [versions[0], versions.at(-1)],
    );
    assert.equal(segment.sizeBytes, BigInt(own.reduce((sum, { length }) => sum + length, 0)));
    const { id, timestamp, file } = segment;
    const ns = (timestamp?.seconds ?? 0n) * 1_000_000_000n + BigInt(timestamp?.nanos ?? 0);
    assert.equal(file, `segment_${String(id).padStart(5, "0")}_${ns}.seg`);
  }
  const live = segments.reduce((sum, { liveBytes }) => sum + liveBytes, 0n);
  assert.equal(live, BigInt(rig.store.stats().liveBytes));
  const paged: string[] = [];
  let pageToken = "";
  do {
    const page = await client.call(listSegments, { pageSize: 2, pageToken });
    assert.ok(page.segments.length === 2 || page.nextPageToken === "");
    paged.push(...page.segments.map(({ file }) => file));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(
    paged,
    segments.map(({ file }) => file),
  );
  await refusal(client.call(listSegments, { pageSize: -1 }), "FIELD_INVALID", "page_size");
  await refusal(client.call(listSegments, { pageToken: "x" }), "FIELD_INVALID", "page_token");
  const page = await client.call(KvService.method.list, { pageSize: 1 });
  const foreign = { pageToken: page.nextPageToken };
  await refusal(client.call(listSegments, foreign), "FIELD_INVALID", "page_token");
});

test("V13: ListSegments says in which segment damage is known", async (t) => {
  const rig = await Rig.open({ segmentBytesMax: 300 });
  const { client } = await serve(t, rig);
  for (let index = 0; index < 6; index += 1) await rig.set(`key-${index}`, "x".repeat(100));
  const [, , frame] = await rig.frames();
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  await flipBitAtRest(rig.sim.files, path, (frame.offset + frame.length - 1) * 8);
  await refusal(client.call(KvService.method.get, { key: bytes("key-2") }), "RECORD_CORRUPT");
  const { segments } = await client.call(listSegments, {});
  const damaged = segments.filter((segment) => segment.damaged).map(({ file }) => file);
  assert.deepEqual(damaged, [frame.segment]);
});

test("V1: Sync answers when what was acknowledged before is durable, and not sooner", {
  timeout: 20_000,
}, async (t) => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  const { client } = await serve(t, rig);
  await rig.set("a", "1");
  await rig.set("b", "1", { durability: "buffered" });
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  let isAnswered = false;
  const answer = client.call(sync, {}).finally(() => {
    isAnswered = true;
  });
  while (gate.held === 0) await new Promise((resolve) => setImmediate(resolve));
  await rig.settle();
  assert.equal(isAnswered, false);
  gate.open();
  const { durableVersion, storeVersion } = await answer;
  assert.deepEqual([durableVersion, storeVersion], [2n, 2n]);
  rig.injector = undefined;
  const next = await rig.powerCut();
  assert.deepEqual(await next.values("a", "b"), { a: "1", b: "1" });
  await next.store.close();
});

test("V10: Sync of a store whose sync failed is SYNC_FAILED, for what was acknowledged may be lost", async (t) => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  const { client } = await serve(t, rig);
  await rig.set("a", "1");
  await rig.set("b", "1", { durability: "buffered" });
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  for (let round = 0; round < 2; round += 1) await refusal(client.call(sync, {}), "SYNC_FAILED");
});
