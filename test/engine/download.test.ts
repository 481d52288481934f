/** Downloads: the bytes and when they may be trusted, damage, slow readers, and compaction meanwhile. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { RecordSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { DOWNLOAD_PIECE_BYTES } from "../../src/engine/downloads.js";
import type { Download } from "../../src/engine/store.js";
import { compact } from "../support/compaction-rig.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Rig, rejects, segmentFiles } from "../support/store-rig.js";
import { downloaded } from "../support/transfers.js";

const random = new SimRandom(17);
const key = bytes("k");

async function begun(rig: Rig, name = "k"): Promise<Download> {
  const download = await rig.store.download(bytes(name));
  assert.ok(download);
  return download;
}

test("a download is the record, its bytes in pieces and its checksum at the end (G-DOWN-1)", async () => {
  const rig = await Rig.open({ segmentBytesMax: 2_000_000 });
  const nowMs = rig.sim.clock.wallMs();
  for (const length of [0, 1, 200_000, DOWNLOAD_PIECE_BYTES - 40, 300_000, 2_500_000]) {
    for (const [name, expiresAtMs] of [
      ["k", 0],
      ["n".repeat(65_535), nowMs + 60_000],
    ] as const) {
      const value = random.bytes(length);
      const expiry =
        expiresAtMs === 0
          ? ({ kind: "never" } as const)
          : ({ kind: "at", atMs: expiresAtMs } as const);
      const { version } = await rig.store.set(bytes(name), value, expiry);
      const download = await begun(rig, name);
      assert.deepEqual([download.version, download.expiresAtMs], [version, expiresAtMs]);
      const bare = create(RecordSchema, {
        key: bytes(name),
        version: BigInt(version),
        updateTime: timestampFromMs(nowMs),
        ...(expiresAtMs === 0 ? {} : { expireTime: timestampFromMs(expiresAtMs) }),
      });
      assert.ok(Buffer.from(download.bare).equals(toBinary(RecordSchema, bare)), `${length}`);
      const pieces: number[] = [];
      const all: Uint8Array[] = [];
      for await (const piece of download.chunks) {
        pieces.push(piece.length);
        all.push(piece);
      }
      assert.ok(pieces.every((piece) => piece > 0 && piece <= DOWNLOAD_PIECE_BYTES));
      assert.ok(Buffer.concat(all).equals(value));
      await rig.store.hintsWritten();
      assert.equal(rig.store.stats().pins, 0);
    }
  }
  await rig.store.close();
});

test("an absent and an expired key have no download (G-DOWN-2)", async () => {
  const rig = await Rig.open();
  assert.equal(await rig.store.download(key), undefined);
  await rig.store.set(key, random.bytes(300_000), { kind: "ttl", ttlMs: 100 });
  await rig.sim.clock.advance(100);
  assert.equal(await rig.store.download(key), undefined);
  await rejects(rig.store.download(bytes("")), "KEY_EMPTY");
  await rig.store.close();
});

/** Changes one byte of the only segment. */
async function damage(rig: Rig, offset: number): Promise<void> {
  const entries = await rig.sim.files.list("/store/segments");
  const name = entries.map((entry) => entry.name).find((each) => segmentFiles.test(each));
  const file = await rig.sim.files.open(`/store/segments/${name}`, "write");
  const byte = new Uint8Array(1);
  await file.read(byte, offset);
  byte[0] = (byte[0] as number) ^ 1;
  await file.write(byte, offset);
  await file.close();
}

test("a download of a damaged record comes to no end, wherever the damage lies (G-DOWN-3, V13)", async () => {
  const value = random.bytes(600_000);
  const frameBytes = 17 + 3 + 4 + value.length + 2 + 13;
  for (const offset of [0, 3, 4, 8, 12, 17, 18, 19, 20, 22, 25, 300_000, 599_000, -1, -5, -14]) {
    const rig = await Rig.open({ cacheBytesMax: 0 });
    await rig.store.set(key, value, { kind: "never" });
    const length = (rig.store.exists(key)?.recordBytes ?? 0) + 17;
    assert.ok(Math.abs(length - frameBytes) < 10);
    await damage(rig, offset < 0 ? length + offset : offset);
    const error = await rejects(
      begun(rig).then((download) => downloaded(download)),
      "RECORD_CORRUPT",
      "none",
    );
    assert.match(error.message, /at 0/, `${offset}`);
    const stats = rig.store.stats();
    assert.deepEqual([stats.damage.length, stats.pins], [1, 0], `${offset}`);
    await rig.store.close();
  }
});

test("a disk that refuses to read ends the download, and no damage is registered (G-DOWN-4)", async () => {
  const rig = await Rig.open();
  const value = random.bytes(900_000);
  await rig.store.set(key, value, { kind: "never" });
  for (const nth of [0, 1, 2, 4]) {
    let reads = 0;
    rig.injector = ({ op, path }) => {
      if (op !== "read" || !segmentFiles.test(path)) return undefined;
      reads += 1;
      return reads - 1 === nth ? { kind: "error", code: "EIO" } : undefined;
    };
    await rejects(
      begun(rig).then((download) => downloaded(download)),
      "READ_FAILED",
    );
    assert.deepEqual([rig.store.stats().damage, rig.store.stats().pins], [[], 0]);
  }
  rig.injector = undefined;
  assert.ok((await downloaded(await begun(rig))).equals(value));
  await rig.store.close();
});

test("a download shows the record that stood when it was begun, whatever is written and compacted meanwhile (G-DOWN-5, V7)", async () => {
  const rig = await Rig.open({
    segmentBytesMax: 1_000,
    compaction: "manual",
    watchRetentionMs: 0,
  });
  const value = random.bytes(1_000_000);
  await rig.store.set(key, value, { kind: "never" });
  await rig.set("other", "1");
  const download = await begun(rig);
  const iterator = download.chunks[Symbol.asyncIterator]();
  const pieces = [(await iterator.next()).value as Uint8Array];
  await rig.set("k", "changed");
  await rig.set("fill", "x".repeat(1_000));
  await rig.store.hintsWritten();
  const compacting = compact(rig);
  await rig.settle();
  assert.ok(rig.store.stats().compaction.pinnedBytes > value.length);
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    pieces.push(next.value);
  }
  assert.ok(Buffer.concat(pieces).equals(value));
  await compacting;
  await rig.settle();
  assert.equal(rig.store.stats().pins, 0);
  assert.equal(await rig.get("k"), "changed");
  await rig.store.close();
});

test("a download from which nothing is taken holds its segment for five minutes (G-DOWN-6, V11)", async () => {
  const rig = await Rig.open();
  await rig.store.set(key, random.bytes(1_000_000), { kind: "never" });
  const download = await begun(rig);
  const iterator = download.chunks[Symbol.asyncIterator]();
  await iterator.next();
  await rig.sim.clock.advance(4 * 60_000);
  await iterator.next();
  await rig.sim.clock.advance(4 * 60_000);
  assert.equal(rig.store.stats().pins, 1);
  await rig.sim.clock.advance(61_000);
  assert.equal(rig.store.stats().pins, 0);
  await rejects(iterator.next(), "SNAPSHOT_ENDED", "none");
  await rig.store.close();
});

test("a download ends with its signal, with its reader's leaving, and with the store (G-DOWN-7)", async () => {
  const rig = await Rig.open();
  await rig.store.set(key, random.bytes(1_000_000), { kind: "never" });
  const given = new AbortController();
  const cancelled = await rig.store.download(key, { signal: given.signal });
  assert.ok(cancelled);
  given.abort();
  await rejects(downloaded(cancelled), "CANCELLED", "none");
  for await (const piece of (await begun(rig)).chunks) {
    assert.ok(piece.length > 0);
    break;
  }
  (await begun(rig)).close();
  assert.equal(rig.store.stats().pins, 0);
  const open = await begun(rig);
  await rig.store.close();
  await rejects(downloaded(open), "STORE_CLOSING", "none");
});
