/** docs/format.md against the code: its examples are decoded, its figures compared. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FRAME_PAYLOAD_BYTES_MAX, FrameFlag } from "../../src/format/frame.js";
import {
  HINT_BLOCK_ENTRIES_MAX,
  HINT_BLOCK_KEY_BYTES_MAX,
  HINT_HEAD_BYTES,
  HINT_SUMMARY_BYTES_MAX,
  HINT_TRAILER_BYTES,
  HintFlag,
  hintBlockBytes,
} from "../../src/format/hint-layout.js";
import { decodeManifest } from "../../src/format/manifest.js";
import { newRecordFields, parseRecord } from "../../src/format/record.js";
import { hintFileName, segmentFileName } from "../../src/format/segment-name.js";
import { repositoryRoot } from "../support/paths.js";
import { sampleSalt, sampleTimestampNs, verdictOn } from "./frames.js";
import { goldenFrames } from "./golden-files.js";
import { readHint } from "./hints.js";

const page = readFileSync(join(repositoryRoot, "docs/format.md"), "utf8");

/** The examples by their name: what stands before the # of each line, as bytes. */
const examples = new Map(
  [...page.matchAll(/^```hex (\S+)\n([^`]*)^```$/gm)].map(([, name = "", lines = ""]) => {
    const digits = lines.replace(/#.*$/gm, "").replace(/\s+/g, "");
    assert.match(digits, /^(?:[0-9a-f]{2})+$/, name);
    return [name, new Uint8Array(Buffer.from(digits, "hex"))];
  }),
);

function example(name: string): Uint8Array {
  const bytes = examples.get(name);
  assert.ok(bytes !== undefined, `no example of ${name}`);
  return bytes;
}

test("the page has an example of every kind of frame, of the manifest and of the hint", () => {
  const expected = [...Object.keys(goldenFrames), "frame-value-barrier", "manifest", "hint"];
  assert.deepEqual([...examples.keys()].sort(), expected.sort());
});

for (const [name, bytes] of examples) {
  test(`the example ${name} is the golden file of that name`, () => {
    const file = readFileSync(join(repositoryRoot, "test/fixtures/v1", `${name}.bin`));
    assert.equal(Buffer.from(bytes).toString("hex"), file.toString("hex"));
  });
}

test("the examples of records decode to what the page says of them", () => {
  const nowMs = Date.UTC(2023, 10, 14, 22, 13, 20, 123);
  const expected: Record<string, readonly [string, string, number, number, number]> = {
    "frame-value": ["user:1", "Ada", 1, nowMs, 0],
    "frame-value-barrier": ["user:1", "Ada", 1, nowMs, 0],
    "frame-value-expiring": ["session:9", "token", 300, nowMs, nowMs + 60_000],
    "frame-empty-value": ["flag", "", 2 ** 48 - 1, nowMs, 0],
    "frame-tombstone": ["user:1", "", 302, nowMs, 0],
    "frame-expired-tombstone": ["session:9", "", 303, nowMs + 60_500, 0],
  };
  for (const [name, [key, value, version, updatedAtMs, expiresAtMs]] of Object.entries(expected)) {
    const bytes = example(name);
    const frame = verdictOn(bytes);
    assert.ok(frame.kind === "frame", name);
    assert.equal(frame.timestampMs, updatedAtMs, name);
    const fields = newRecordFields();
    assert.ok(parseRecord(bytes, frame.payloadStart, frame.payloadEnd, fields));
    const textOf = (start: number, end: number): string =>
      Buffer.from(bytes.subarray(start, end)).toString();
    assert.equal(textOf(fields.keyStart, fields.keyEnd), key, name);
    assert.equal(textOf(fields.valueStart, fields.valueEnd), value, name);
    assert.deepEqual(
      [fields.version, fields.updatedAtMs, fields.expiresAtMs],
      [version, updatedAtMs, expiresAtMs],
      name,
    );
  }
});

test("the examples of a batch, a manifest and a hint decode", () => {
  assert.equal(verdictOn(example("frame-batch")).kind, "frame");
  assert.equal(decodeManifest(example("manifest")).kind, "manifest");
  assert.equal(readHint(example("hint"))?.entries.length, 5);
});

test("names, salt and figures of the page are those of the code", () => {
  const { BARRIER, BATCH, TOMBSTONE, EXPIRED } = FrameFlag;
  const row = (name: string, bit: number): string =>
    `\n| ${name} | 0x${bit.toString(16).padStart(2, "0")} |`;
  const stated = [
    ...Object.entries({ TOMBSTONE, EXPIRED, BATCH, BARRIER }).map(([n, bit]) => row(n, bit)),
    ...Object.entries(HintFlag).map(([n, bit]) => row(n, bit)),
    segmentFileName("segment", 7, sampleTimestampNs),
    `salt 0x${sampleSalt.toString(16)}`,
    `u32, 1 to ${FRAME_PAYLOAD_BYTES_MAX.toLocaleString("en-US")} |`,
    `The head, ${HINT_HEAD_BYTES} bytes`,
    `u32, n: 1 to ${HINT_BLOCK_ENTRIES_MAX.toLocaleString("en-US")} |`,
    `u32, k: at most ${HINT_BLOCK_KEY_BYTES_MAX.toLocaleString("en-US")} |`,
    `u32, at most ${HINT_SUMMARY_BYTES_MAX.toLocaleString("en-US")} |`,
  ];
  for (const part of stated) assert.ok(page.includes(part), part);
  assert.equal(hintFileName("a", 7, 1n), "a_00007_1.hint");
  assert.equal(hintBlockBytes(10, 50), 20 + 23 * 10 + 50);
  assert.equal(HINT_TRAILER_BYTES, 16);
});
