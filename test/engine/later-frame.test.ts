/** A frame of a later kvix is never handed out, also where nobody has looked at it before the read. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { crc32 } from "../../src/format/checksum.js";
import {
  fileOf,
  type PlacedRecord,
  type StoreImage,
  saltOf,
  segmentPathOf,
  withFile,
} from "../support/store-image.js";
import {
  type BuiltStore,
  buildStore,
  corrupt,
  expectedState,
  openImage,
  recordsOf,
  richLife,
  stateOf,
} from "../support/store-life.js";

/** The image with another version byte in the frame of a record, and a checksum that is right. */
function withVersionByte(
  { image, frames }: BuiltStore,
  record: PlacedRecord,
  version: number,
): StoreImage {
  const listed = [...frames.keys()].find((each) =>
    frames.get(each)?.some(({ records }) => records.includes(record)),
  );
  assert.ok(listed);
  const path = segmentPathOf(listed);
  const bytes = fileOf(image, path).slice();
  bytes[record.offset + 8] = version;
  const body = bytes.subarray(record.offset + 4, record.offset + record.length);
  new DataView(bytes.buffer).setUint32(record.offset, crc32(body, saltOf(image, listed)), true);
  return withFile(image, path, bytes);
}

test("R10 V2: a record in a frame of an unknown version is not handed out where a hint has led to it", async () => {
  const built = await buildStore(richLife, "killed");
  const sound = expectedState(built, recordsOf(built));
  const values = recordsOf(built, (frame, { length }) => !frame.isBatch && length > 0n).filter(
    ({ key, value, isTombstone }) => !isTombstone && sound[key] === value,
  );
  assert.ok(values.length > 0);
  for (const record of values) {
    for (const version of [0x00, 0x02, 0x0f]) {
      const image = withVersionByte(built, record, version);
      const { store } = await openImage(image, {}, built.clock);
      assert.deepEqual(await stateOf(store, built.keys), { ...sound, [record.key]: corrupt });
      await store.close();
    }
  }
});
