/** The head and the description of a checkpoint: read back, and refused in any doubt. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CHECKPOINT_DESCRIPTION_BYTES_MAX,
  CHECKPOINT_HEAD_BYTES,
  CHECKPOINT_MAGIC,
  type CheckpointDescription,
  type CheckpointHead,
  CheckpointHeadAt,
  decodeCheckpointDescription,
  decodeCheckpointHead,
  encodeCheckpointFront,
} from "../../src/format/checkpoint.js";
import { crc32 } from "../../src/format/checksum.js";

const storeId = Uint8Array.from({ length: 16 }, (_, index) => index);
const description: CheckpointDescription = {
  segments: [
    {
      id: 7,
      timestampNs: "1700000000000000000",
      isSealed: true,
      lengthBytes: 400,
      checksum: 0xfedcba98,
      liveBytes: 300,
      tombstoneBytes: 44,
      newestTimestampMs: 0,
      highestTombstone: 302,
      lowestVersion: 300,
      highestVersion: 2 ** 48 - 1,
    },
  ],
  index: { anything: [1, 2, 3] },
  requests: { anything: [4] },
};
const pageBytes = 2 ** 33;
const front = encodeCheckpointFront(storeId, description, pageBytes);
const fileBytes = front.length + pageBytes;

function headOf(bytes: Uint8Array, length = fileBytes): CheckpointHead {
  const head = decodeCheckpointHead(bytes, length);
  assert.equal(head.kind, "head");
  return head as CheckpointHead;
}

/** A front with one field changed and the head's checksum made right again. */
function changed(change: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const bytes = front.slice();
  const view = new DataView(bytes.buffer);
  change(bytes, view);
  view.setUint32(CheckpointHeadAt.CRC, crc32(bytes.subarray(0, CheckpointHeadAt.CRC)), true);
  return bytes;
}

test("a checkpoint's head and description are read as they were written", () => {
  const head = headOf(front);
  assert.deepEqual(head.storeId, storeId);
  assert.equal(head.pageBytes, pageBytes);
  const text = front.subarray(CHECKPOINT_HEAD_BYTES);
  assert.deepEqual(decodeCheckpointDescription(text, head), description);
});

test("R7 every cut and every flipped bit of a checkpoint's front is noticed", () => {
  for (let length = 0; length < front.length; length++) {
    const cut = front.subarray(0, length);
    const isHeadWhole = length >= CHECKPOINT_HEAD_BYTES;
    assert.equal(decodeCheckpointHead(cut, length + pageBytes).kind, "damaged", `cut at ${length}`);
    if (!isHeadWhole) continue;
    const text = cut.subarray(CHECKPOINT_HEAD_BYTES);
    assert.ok("kind" in decodeCheckpointDescription(text, headOf(front)));
  }
  for (let bit = 0; bit < front.length * 8; bit++) {
    const bytes = front.slice();
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
    if (bit >>> 3 < CHECKPOINT_HEAD_BYTES) {
      assert.equal(decodeCheckpointHead(bytes, fileBytes).kind, "damaged", `bit ${bit}`);
    } else {
      const text = bytes.subarray(CHECKPOINT_HEAD_BYTES);
      assert.ok("kind" in decodeCheckpointDescription(text, headOf(bytes)), `bit ${bit}`);
    }
  }
});

test("R7 a checkpoint of another format version, or of a machine of another byte order, is refused", () => {
  const newer = changed((_, view) => view.setUint32(CheckpointHeadAt.FORMAT_VERSION, 99, true));
  assert.deepEqual(decodeCheckpointHead(newer, fileBytes), {
    kind: "damaged",
    why: "another format version",
  });
  const other = changed((bytes) => bytes.subarray(CheckpointHeadAt.BYTE_ORDER, 16).reverse());
  assert.deepEqual(decodeCheckpointHead(other, fileBytes), {
    kind: "damaged",
    why: "another byte order",
  });
});

test("R6 no length in a checkpoint's head is believed that the file does not have", () => {
  const long = changed((_, view) =>
    view.setUint32(CheckpointHeadAt.DESCRIPTION_BYTES, 2 ** 32 - 1, true),
  );
  assert.equal(decodeCheckpointHead(long, fileBytes).kind, "damaged");
  const many = changed((_, view) =>
    view.setBigUint64(CheckpointHeadAt.PAGE_BYTES, 2n ** 60n, true),
  );
  assert.equal(decodeCheckpointHead(many, fileBytes).kind, "damaged");
});

test("R7 a head is told from its 56 bytes alone, and from none less", () => {
  for (let length = 0; length < CHECKPOINT_HEAD_BYTES; length++) {
    // Memory of its own: nothing lies behind it that could be taken for the rest.
    const cut = decodeCheckpointHead(front.slice(0, length), fileBytes);
    assert.deepEqual(cut, { kind: "damaged", why: "no head" }, `cut at ${length}`);
  }
  assert.equal(headOf(front.slice(0, CHECKPOINT_HEAD_BYTES)).pageBytes, pageBytes);
});

test("R7 another magic is no checkpoint, though the head's checksum is right", () => {
  for (const at of CHECKPOINT_MAGIC.keys()) {
    const other = changed((bytes) => {
      bytes[at]! ^= 1;
    });
    const verdict = decodeCheckpointHead(other, fileBytes);
    assert.deepEqual(verdict, { kind: "damaged", why: "another magic" }, `byte ${at}`);
  }
});

test("V11 a description is as long as 256 MiB, and not one byte longer", () => {
  const claiming = (descriptionBytes: number): string => {
    const bytes = changed((_, view) =>
      view.setUint32(CheckpointHeadAt.DESCRIPTION_BYTES, descriptionBytes, true),
    );
    const length = CHECKPOINT_HEAD_BYTES + descriptionBytes + pageBytes;
    return decodeCheckpointHead(bytes, length).kind;
  };
  assert.equal(claiming(CHECKPOINT_DESCRIPTION_BYTES_MAX), "head");
  assert.equal(claiming(CHECKPOINT_DESCRIPTION_BYTES_MAX + 1), "damaged");
});

test("R7 a description of another length than the head says is refused, its checksum apart", () => {
  const head = headOf(front);
  const text = front.subarray(CHECKPOINT_HEAD_BYTES);
  for (const descriptionBytes of [text.length - 1, text.length + 1]) {
    assert.ok("kind" in decodeCheckpointDescription(text, { ...head, descriptionBytes }));
  }
});
