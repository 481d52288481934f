/** Scans: their ends, what they keep, what they leave out, and what they are ended by. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { SNAPSHOT_LEASE_MS, UNDO_BYTES_MAX } from "../../src/engine/snapshots/snapshots.js";
import type { Scan, ScanOptions } from "../../src/engine/store-ranges.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text, watch } from "../support/store-rig.js";

const buffered = { durability: "buffered" } as const;

/** A store with keys of four digits. */
async function filled(count: number, value = "v".repeat(1000)): Promise<Rig> {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024 });
  for (let at = 0; at < count; at += 1) await rig.set(name(at), value, buffered);
  return rig;
}

const name = (at: number): string => String(at).padStart(4, "0");

/** The keys of all parts. */
async function keysOf(scan: Scan): Promise<string[]> {
  const keys: string[] = [];
  for await (const { records } of scan) keys.push(...records.map(({ key }) => text(key)));
  return keys;
}

/** Runs a scan on a clock that stands still but for its turns. */
async function stepped<T>(rig: Rig, work: Promise<T>): Promise<T> {
  const watched = watch(work);
  for (let turn = 0; turn < 500 && watched.state === "pending"; turn += 1) await rig.settle();
  return await work;
}

test("a scan goes up and down, to its limit, and with keys alone (G-SCAN-1, G-SCAN-3)", async () => {
  const rig = await filled(200);
  const all = Array.from({ length: 200 }, (_, at) => name(at));
  const scan = (options: ScanOptions) => stepped(rig, keysOf(rig.store.scan(options)));
  assert.deepEqual(await scan({}), all);
  assert.deepEqual(await scan({ reverse: true }), all.toReversed());
  assert.deepEqual(await scan({ prefix: bytes("01") }), all.slice(100));
  assert.deepEqual(await scan({ start: bytes("0010"), end: bytes("0100") }), all.slice(10, 100));
  for (const limit of [1, 63, 64, 65, 199, 200, 201]) {
    assert.deepEqual(await scan({ limit }), all.slice(0, limit));
    assert.deepEqual(
      await scan({ limit, reverse: true, keysOnly: true }),
      all.toReversed().slice(0, limit),
    );
  }
  assert.equal(rig.store.snapshots.count, 0);
  await rig.store.close();
});

test("a limit that is none, a range that makes no sense: FIELD_INVALID at once, and no snapshot", async () => {
  const rig = await filled(1);
  const wrong: ScanOptions[] = [
    { limit: 0 },
    { limit: 1.5 },
    { bytesMax: 0 },
    { prefix: bytes("a"), start: bytes("a") },
    { start: bytes("b"), end: bytes("a") },
    { prefix: new Uint8Array(65_536) },
  ];
  for (const options of wrong) {
    await rejects((async () => rig.store.scan(options))(), "FIELD_INVALID");
  }
  assert.equal(rig.store.snapshots.count, 0);
  await rig.store.close();
});

test("a part takes no more than 64 KiB, or is one record, and a record that fits none has no value (G-SCAN-4, V11)", async () => {
  const rig = await filled(150);
  await rig.set("0075x", "l".repeat(300_000));
  await rig.set("0100x", "l".repeat(1_000_000));
  const parts: { bytes: number; records: number }[] = [];
  let omitted = 0;
  const scan = rig.store.scan({ bytesMax: 500_000 });
  await stepped(
    rig,
    (async () => {
      for await (const { records } of scan) {
        let taken = 0;
        for (const { key, record } of records) {
          if (typeof record !== "string") taken += record.payload.length;
          else {
            assert.deepEqual([text(key), record], ["0100x", "too-large"]);
            omitted += 1;
          }
        }
        parts.push({ bytes: taken, records: records.length });
      }
    })(),
  );
  assert.equal(omitted, 1);
  assert.deepEqual(
    parts.filter(({ bytes: taken }) => taken > 65_536).map(({ records }) => records),
    [1],
  );
  assert.ok(parts.length <= 6, `${parts.length} parts`);
  await rig.store.close();
});

test("a record whose bytes are damaged comes without its value, and the scan goes past it (G-SCAN-5, V13)", async () => {
  const rig = await filled(3, "value");
  await rig.store.close();
  const [, second] = await rig.frames();
  assert.ok(second);
  const path = `/store/segments/${second.segment}`;
  await flipBitAtRest(rig.sim.files, path, (second.offset + second.length - 1) * 8);
  const again = await Rig.open({ ...rig.options, cacheBytesMax: 0 }, rig.sim);
  const { value: part } = await stepped(again, again.store.scan().next());
  assert.deepEqual(
    part?.records.map(({ key, record }) => [
      text(key),
      typeof record === "string" ? record : text(record.value),
    ]),
    [
      ["0000", "value"],
      ["0001", "unreadable"],
      ["0002", "value"],
    ],
  );
  await again.store.close();
});

async function ended(rig: Rig, scan: Scan): Promise<KvixError> {
  const error = await stepped(
    rig,
    scan.next().then(
      () => assert.fail("it went on"),
      (thrown: unknown) => thrown,
    ),
  );
  assert.ok(error instanceof KvixError);
  assert.equal(rig.store.snapshots.count, 0, "nothing is kept behind");
  assert.deepEqual(await scan.next(), { done: true, value: undefined });
  return error;
}

test("a scan that takes more than 5 minutes ends with SNAPSHOT_ENDED, and another goes on behind what it told (G-SCAN-6)", async () => {
  const rig = await filled(200);
  for (const reverse of [false, true]) {
    const scan = rig.store.scan({ reverse });
    const { value: part } = await stepped(rig, scan.next());
    const told = part?.records.map(({ key }) => text(key)) ?? [];
    assert.ok(told.length > 10 && told.length < 190);
    await rig.sim.clock.advance(SNAPSHOT_LEASE_MS);
    const error = await ended(rig, scan);
    assert.equal(error.reason, "SNAPSHOT_ENDED");
    const { afterKey } = error.resume ?? {};
    assert.ok(afterKey);
    assert.equal(text(afterKey), told.at(-1));
    assert.ok(!error.message.includes(text(afterKey)), "V12");
    const behind = Buffer.concat([afterKey, Buffer.of(0)]);
    const range = reverse ? { end: afterKey } : { start: behind };
    const rest = await stepped(rig, keysOf(rig.store.scan({ ...range, reverse })));
    const all = Array.from({ length: 200 }, (_, at) => name(at));
    assert.deepEqual([...told, ...rest], reverse ? all.toReversed() : all);
  }
  await rig.store.close();
});

test("a scan ends with SNAPSHOT_ENDED when too much is overwritten meanwhile (G-SCAN-6, V11)", async () => {
  const rig = await Rig.open({ segmentBytesMax: 1024 * 1024 * 1024, cacheBytesMax: 0 });
  // A replaced entry counts its key and 256 bytes.
  const keys = Array.from({ length: 1150 }, (_, at) => name(at) + "k".repeat(60_000));
  assert.ok(keys.length * 60_260 > UNDO_BYTES_MAX);
  for (const key of keys) await rig.set(key, "1", buffered);
  const scan = rig.store.scan();
  const { value: part } = await stepped(rig, scan.next());
  for (const key of keys) await rig.set(key, "2", buffered);
  const error = await ended(rig, scan);
  assert.equal(error.reason, "SNAPSHOT_ENDED");
  assert.deepEqual(error.resume?.afterKey, part?.records.at(-1)?.key);
  await rig.store.close();
});

test("a close of the store ends its scans with STORE_CLOSING, and says where to go on", async () => {
  const rig = await filled(200);
  const begun = rig.store.scan();
  const { value: part } = await stepped(rig, begun.next());
  const unbegun = rig.store.scan();
  await rig.store.close();
  const error = await ended(rig, begun);
  assert.equal(error.reason, "STORE_CLOSING");
  assert.deepEqual(error.resume?.afterKey, part?.records.at(-1)?.key);
  const other = await ended(rig, unbegun);
  assert.equal(other.reason, "STORE_CLOSING");
  assert.deepEqual(other.resume, { afterKey: undefined });
  assert.throws(() => rig.store.scan(), KvixError);
});

test("who leaves a scan, or gives up, leaves no snapshot behind (G-SCAN-7)", async () => {
  const rig = await filled(200);
  await stepped(
    rig,
    (async () => {
      for await (const _part of rig.store.scan()) break;
    })(),
  );
  assert.equal(rig.store.snapshots.count, 0);
  const controller = new AbortController();
  const scan = rig.store.scan({ signal: controller.signal });
  await stepped(rig, scan.next());
  assert.equal(rig.store.snapshots.count, 1);
  controller.abort();
  const error = await ended(rig, scan);
  assert.equal(error.reason, "CANCELLED");
  assert.equal(rig.store.stats().pins, 0);
  await rig.store.close();
});

test("a scan whose reader gives up while it waits for the disk ends with that read", async () => {
  const rig = await Rig.open({ cacheBytesMax: 0, segmentBytesMax: 64 * 1024 * 1024 });
  await rig.set("a", "l".repeat(200_000));
  await rig.set("b", "l".repeat(200_000));
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
  const controller = new AbortController();
  const scan = rig.store.scan({ signal: controller.signal });
  const next = watch(scan.next());
  await rig.settle();
  assert.equal(next.state, "pending");
  controller.abort();
  gate.open();
  await rig.settle();
  assert.equal(next.state, "rejected");
  assert.equal(rig.store.snapshots.count, 0);
  await rig.store.close();
});

test("large parts that are not taken share 64 MiB; scans of small records go on, and the next in line when one is taken (G-SCAN-8, V11)", async () => {
  const rig = await Rig.open({ cacheBytesMax: 0, segmentBytesMax: 64 * 1024 * 1024 });
  await rig.set("large", "l".repeat(4_000_000));
  await rig.set("small", "s");
  const scans = Array.from({ length: 12 }, () => rig.store.scan({ prefix: bytes("l") }));
  const first = scans.map((scan) => watch(scan.next()));
  for (let turn = 0; turn < 20; turn += 1) await rig.settle();
  const given = first.filter(({ state }) => state === "resolved").length;
  assert.equal(given, 8, "each counts 8 MB");
  const small = watch(keysOf(rig.store.scan({ prefix: bytes("s") })));
  await stepped(rig, Promise.resolve());
  for (let turn = 0; turn < 5; turn += 1) await rig.settle();
  assert.deepEqual(small.value, ["small"]);
  await stepped(rig, (scans[0] as Scan).next());
  for (let turn = 0; turn < 20; turn += 1) await rig.settle();
  assert.equal(first.filter(({ state }) => state === "resolved").length, 9);
  // One that waits hears of its snapshot's end.
  await rig.sim.clock.advance(SNAPSHOT_LEASE_MS);
  await rig.settle();
  assert.equal(first.filter(({ state }) => state === "rejected").length, 3);
  for (const scan of scans) await scan.return?.();
  assert.equal(rig.store.snapshots.count, 0);
  await rig.store.close();
});

test("a long run of hidden keys is passed with pauses, and told as passed", async () => {
  const rig = await filled(0);
  const expiry = { kind: "ttl", ttlMs: 1000 } as const;
  for (let at = 0; at < 5000; at += 1) await rig.set(name(at), "v", { ...buffered, expiry });
  await rig.set("z", "v");
  // The sweep does not trust a clock that jumps.
  rig.sim.clock.stepWall(3_600_000);
  assert.equal(rig.store.stats().keys, 5001);
  const scan = rig.store.scan();
  const { value: part } = await stepped(rig, scan.next());
  assert.deepEqual(
    part?.records.map(({ key }) => text(key)),
    ["z"],
  );
  await scan.return?.();
  await rig.store.close();
});
