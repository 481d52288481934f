/** Scans of records that lie in another order than their keys: what is read along, ahead, and anew. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { KvixError } from "../../src/base/kvix-error.js";
import { ByteBudget } from "../../src/engine/byte-budget.js";
import { ReadAhead } from "../../src/engine/scan/read-ahead.js";
import { SNAPSHOT_LEASE_MS } from "../../src/engine/snapshots/snapshots.js";
import type { RecordSpacing, Scan, ScanPart } from "../../src/engine/store-ranges.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Rig, segmentFiles, text, watch } from "../support/store-rig.js";

const name = (at: number): string => `key-${String(at).padStart(5, "0")}`;
const storedValue = (at: number, valueBytes: number): string =>
  `#${at} `.padEnd(valueBytes + (at % 17), "v");
/** Enough of a value to tell it from others, short enough to be shown. */
const gistOf = (value: string): string => `${value.split(" ")[0]}, ${value.length}`;

/** A store whose keys were written in random order. */
async function shuffled(count: number, valueBytes: number): Promise<Rig> {
  const rig = await Rig.open({ cacheBytesMax: 0, segmentBytesMax: 256 * 1024 * 1024 });
  const random = new SimRandom(1);
  const order = Array.from({ length: count }, (_, at) => at);
  for (let at = count - 1; at > 0; at -= 1) {
    const other = random.below(at + 1);
    [order[at], order[other]] = [order[other] as number, order[at] as number];
  }
  for (let at = 0; at < count; at += 100) {
    const mutations = order.slice(at, at + 100).map((each) => {
      const key = bytes(name(each));
      return { kind: "set", key, value: bytes(storedValue(each, valueBytes)) } as const;
    });
    await rig.store.commit(mutations, { durability: "buffered" });
  }
  return rig;
}

/** Counts the reads of segments, and fails those that `fails` says. */
function countReads(rig: Rig, fails: (read: number) => boolean = () => false): () => number {
  let reads = 0;
  rig.injector = ({ op, path }) => {
    if (op !== "read" || !segmentFiles.test(path)) return undefined;
    reads += 1;
    return fails(reads) ? { kind: "error", code: "EIO" } : undefined;
  };
  return () => reads;
}

async function stepped<T>(rig: Rig, work: Promise<T>): Promise<T> {
  const watched = watch(work);
  for (let turn = 0; turn < 5000 && watched.state === "pending"; turn += 1) await rig.settle();
  return await work;
}

/** Keys and gists of values, or why there is none. */
const recordsOf = ({ records }: ScanPart): [string, string][] =>
  records.map(({ key, record }) => [
    text(key),
    typeof record === "string" ? record : gistOf(text(record.value)),
  ]);

async function toldBy(scan: Scan): Promise<[string, string][]> {
  const told: [string, string][] = [];
  for await (const part of scan) told.push(...recordsOf(part));
  return told;
}

const expected = (count: number, valueBytes: number): [string, string][] =>
  Array.from({ length: count }, (_, at) => [name(at), gistOf(storedValue(at, valueBytes))]);

test("scattered records take a read for many of them once a scan has begun to read ahead (G-SCAN-1)", async () => {
  const rig = await shuffled(2000, 2000);
  const reads = countReads(rig);
  for (const reverse of [false, true]) {
    const before = reads();
    const told = await stepped(rig, toldBy(rig.store.scan({ reverse })));
    const all = expected(2000, 2000);
    assert.deepEqual(told, reverse ? all.toReversed() : all);
    assert.ok(reads() - before < 600, `${reads() - before} reads`);
  }
  assert.equal(rig.store.snapshots.count, 0);
  await rig.store.close();
});

test("a limit holds however much is read at once (G-SCAN-3)", async () => {
  const rig = await shuffled(600, 2000);
  for (const limit of [1, 33, 160, 599, 600]) {
    const told = await stepped(rig, toldBy(rig.store.scan({ limit })));
    assert.deepEqual(told, expected(600, 2000).slice(0, limit));
  }
  await rig.store.close();
});

const spacing: RecordSpacing = {
  before: (recordBytes) => 1 + (recordBytes % 3),
  after: (recordBytes) => 2 + (recordBytes % 2),
  behind: 5,
};

test("parts as bytes have the records as they are stored, so spaced as it was asked (G-SCAN-1)", async () => {
  const rig = await shuffled(900, 700);
  const { records } = await stepped(rig, rig.store.list({ limit: 1000, bytesMax: 4_000_000 }));
  const payloads = records.map(({ record }) => {
    assert.ok(typeof record !== "string");
    return Buffer.from(record.payload);
  });
  let told = 0;
  await stepped(
    rig,
    (async () => {
      for await (const { packed, records: none } of rig.store.scan({ spacing })) {
        assert.ok(packed !== undefined && none.length === 0);
        let end = 0;
        for (const recordBytes of packed.recordBytes) {
          const start = end + spacing.before(recordBytes);
          const payload = packed.bytes.subarray(start, start + recordBytes);
          assert.deepEqual(Buffer.from(payload), payloads[told]);
          end = start + recordBytes + spacing.after(recordBytes);
          told += 1;
        }
        assert.equal(packed.bytes.length, end + spacing.behind);
      }
    })(),
  );
  assert.equal(told, 900);
  await rig.store.close();
});

test("damaged records among those read together are unreadable, and no others (G-SCAN-5, V13)", async () => {
  const rig = await shuffled(1200, 2000);
  await rig.store.close();
  const [frame] = await rig.frames();
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  const file = await rig.sim.files.open(path, "read");
  const content = Buffer.alloc(await file.size());
  await file.read(content, 0);
  await file.close();
  const damaged = [3, 400, 401, 1100];
  for (const at of damaged) {
    await flipBitAtRest(rig.sim.files, path, content.indexOf(storedValue(at, 2000)) * 8);
  }
  const again = await Rig.open(rig.options, rig.sim);
  const wanted = expected(1200, 2000);
  for (const at of damaged) (wanted[at] as [string, string])[1] = "unreadable";
  assert.deepEqual(await stepped(again, toldBy(again.store.scan())), wanted);
  // As bytes a part comes only if it is whole.
  let whole = 0;
  let listed = 0;
  await stepped(
    again,
    (async () => {
      for await (const { packed, records } of again.store.scan({ spacing })) {
        whole += packed?.recordBytes.length ?? 0;
        listed += records.length;
      }
    })(),
  );
  assert.equal(whole + listed, 1200);
  assert.ok(listed >= 4 && listed < 200, `${listed} one by one`);
  await again.store.close();
});

test("where many cannot be read at once, they are read one by one", async () => {
  const rig = await shuffled(500, 300);
  const reads = countReads(rig, (read) => read % 2 === 1);
  const told = await stepped(rig, toldBy(rig.store.scan()));
  const wanted = expected(500, 300);
  for (const [at, [key, value]] of told.entries()) {
    assert.equal(key, wanted[at]?.[0]);
    assert.ok(value === wanted[at]?.[1] || value === "unreadable");
  }
  assert.equal(told.length, 500);
  assert.ok(reads() > 100, `${reads()} reads`);
  assert.equal(rig.store.stats().damage.length, 0, "that was no damage");
  await rig.store.close();
});

test("where the disk refuses some bytes, the records there are unreadable, and no others (G-SCAN-5, V13)", async () => {
  const rig = await shuffled(1200, 2000);
  const frames = await rig.frames();
  const refused: { readonly from: number; readonly key: string }[] = [];
  for (const { offset, length, records } of frames) {
    if (refused.length < 3 && offset + length > 300_000 * (refused.length + 1)) {
      // The last bytes of a batch are those of its last member.
      refused.push({ from: offset + length - 10, key: records.at(-1)?.key ?? "" });
    }
  }
  rig.injector = ({ op, path, position = 0, lengthBytes = 0 }) => {
    if (op !== "read" || !segmentFiles.test(path)) return undefined;
    const isRefused = refused.some(({ from: at }) => at >= position && at < position + lengthBytes);
    return isRefused ? { kind: "error", code: "EIO" } : undefined;
  };
  const keys = refused.map(({ key }) => key);
  const wanted = expected(1200, 2000).map(([key, value]): [string, string] => [
    key,
    keys.includes(key) ? "unreadable" : value,
  ]);
  assert.equal(wanted.filter(([, value]) => value === "unreadable").length, 3);
  for (const reverse of [false, true]) {
    const told = await stepped(rig, toldBy(rig.store.scan({ reverse })));
    assert.deepEqual(told, reverse ? wanted.toReversed() : wanted);
  }
  assert.equal(rig.store.stats().damage.length, 0, "a disk that refuses is no damage");
  rig.injector = undefined;
  await rig.store.close();
});

test("a scan that is ended among parts that were read ahead says where the last given one ended (G-SCAN-6)", async () => {
  const rig = await shuffled(1500, 2000);
  for (const reverse of [false, true]) {
    const scan = rig.store.scan({ reverse });
    const told: string[] = [];
    for (let part = 0; part < 12; part += 1) {
      const { value } = await stepped(rig, scan.next());
      told.push(...(value?.records.map(({ key }) => text(key)) ?? []));
      assert.equal(text(scan.after ?? new Uint8Array(0)), told.at(-1));
    }
    await rig.sim.clock.advance(SNAPSHOT_LEASE_MS);
    const error = await stepped(
      rig,
      scan.next().then(
        () => undefined,
        (thrown: unknown) => thrown,
      ),
    );
    assert.ok(error instanceof KvixError);
    assert.equal(error.reason, "SNAPSHOT_ENDED");
    assert.equal(text(error.resume?.afterKey ?? new Uint8Array(0)), told.at(-1));
    assert.equal(rig.store.snapshots.count, 0);
  }
  await rig.store.close();
});

test("scans read ahead into shared memory, each part by part without it, and give all of it back (G-SCAN-8, V11)", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ scan: fc.nat({ max: 9 }), reads: fc.integer({ min: 1, max: 400 }) }), {
        maxLength: 300,
      }),
      fc.integer({ min: 0, max: 40_000_000 }),
      (steps, bytesMax) => {
        const shared = new ByteBudget(bytesMax);
        // The first in an empty budget is given what it asks for, whatever that is.
        shared.tryTake(1);
        const scans = Array.from({ length: 10 }, () => new ReadAhead(shared));
        for (const { scan, reads } of steps) {
          const ahead = scans[scan] as ReadAhead;
          ahead.giveBack();
          const parts = ahead.begin();
          assert.ok([1, 4, 16, 64].includes(parts));
          assert.ok(shared.usedBytes <= Math.max(bytesMax, 1));
          ahead.learn(350 * parts, Math.min(reads, 350) * parts);
        }
        for (const ahead of scans) ahead.giveBack();
        assert.equal(shared.usedBytes, 1);
      },
    ),
  );
  const alone = new ReadAhead(new ByteBudget(64 * 1024 * 1024));
  const widths = Array.from({ length: 7 }, () => {
    alone.giveBack();
    const parts = alone.begin();
    alone.learn(parts * 300, parts * 300);
    return parts;
  });
  assert.deepEqual(widths, [1, 4, 16, 64, 1, 1, 1], "what gains nothing is given up");
});
