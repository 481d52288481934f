/** The golden files: what was written once is written and read the same for ever. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FrameFlag } from "../../src/format/frame.js";
import { decodeManifest } from "../../src/format/manifest.js";
import { repositoryRoot } from "../support/paths.js";
import { verdictOn } from "./frames.js";
import { goldenFrames, goldenHint, goldenManifest, makeGoldenFiles } from "./golden-files.js";
import { readHint, sampleBinding } from "./hints.js";

const folder = join(repositoryRoot, "test/fixtures/v1");
const made = makeGoldenFiles();

if (process.env["KVIX_WRITE_GOLDEN"] === "1") {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of made) writeFileSync(join(folder, name), bytes);
}

const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));

test("the golden files are those of this version, no more and no less", () => {
  assert.deepEqual(readdirSync(folder).sort(), [...made.keys()].sort());
});

for (const [name, bytes] of made) {
  test(`the bytes of ${name} are those that this version was released with`, () => {
    assert.equal(Buffer.from(bytes).toString("hex"), Buffer.from(read(name)).toString("hex"));
  });
}

for (const [name, { flags, timestampMs, payload }] of Object.entries(goldenFrames)) {
  for (const barrier of [0, FrameFlag.BARRIER]) {
    test(`${name} is read from its file, ${barrier === 0 ? "without" : "with"} BARRIER`, () => {
      const frame = read(barrier === 0 ? `${name}.bin` : `${name}-barrier.bin`);
      assert.deepEqual(verdictOn(frame), {
        kind: "frame",
        flags: flags | barrier,
        timestampMs,
        payloadStart: 17,
        payloadEnd: frame.length,
        frameBytes: frame.length,
      });
      assert.deepEqual(frame.subarray(17), payload);
    });
  }
}

test("the golden hint is read from its file", () => {
  const hint = readHint(read("hint.bin"));
  assert.ok(hint !== undefined);
  assert.deepEqual(hint.entries, goldenHint.entries);
  assert.deepEqual(hint.binding, sampleBinding);
  assert.deepEqual(hint.summary.damagedRanges, goldenHint.facts.damagedRanges);
  assert.deepEqual(hint.summary.requests, goldenHint.facts.requests);
});

test("the golden manifest is read from its file", () => {
  const verdict = decodeManifest(read("manifest.bin"));
  assert.deepEqual(verdict, { kind: "manifest", manifest: goldenManifest });
});
