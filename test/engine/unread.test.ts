/** What an opening could not read, and another one may: how far the index may lack it. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DamageRegister, damageMessage } from "../../src/engine/damage.js";
import { newestUnread } from "../../src/engine/unread.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { FaultyFileSystem, injectFault } from "../support/faulty-file-system.js";
import { simHost } from "../support/sim-host.js";

const directories = { data: "/store", segments: "/store" };
const fileBytes = 100;

/** Damage of the segment of that number, whose file is there or not. */
interface Case {
  readonly isThere?: boolean;
  readonly isRefused?: boolean;
  readonly offset?: number;
  readonly length?: number;
  readonly keysUnknown?: boolean;
  readonly newest?: number;
  /** What the manifest has of it: all, less of its bytes, that its keys are known, or nothing. */
  readonly known?: "all" | "less" | "keys" | "nothing";
}

/** The n-th has versions 10 n to 10 n + 9. */
async function unreadOf(cases: readonly Case[]): Promise<number> {
  const { files } = simHost({ seed: 1 });
  await files.makeDirectory("/store");
  const refusal = { op: "read", path: /ill/, sticky: true } as const;
  const faulty = new FaultyFileSystem(files, injectFault({ kind: "error", code: "EIO" }, refusal));
  const damage = new DamageRegister();
  const segments: Segment[] = [];
  const damagedRanges = [];
  for (const [index, each] of cases.entries()) {
    const { isThere = true, isRefused = false, offset = 10, length = 50 } = each;
    const { keysUnknown = true, known = "all" } = each;
    const prefix = isRefused ? "ill" : "well";
    const name = new SegmentName(directories, new Uint8Array(16), prefix, index, BigInt(index + 1));
    const made = await files.open(name.path, "create");
    await made.write(new Uint8Array(fileBytes), 0);
    await made.close();
    segments.push(
      new Segment(name, isThere ? await faulty.open(name.path, "read") : undefined, true),
    );
    const { newest = 10 * index + 9 } = each;
    const versions = { firstVersion: 1, lastVersion: newest };
    const range = { segment: name, offset, length, ...versions, keysUnknown };
    damage.add(range);
    const inManifest = {
      ...range,
      length: known === "less" ? length - 1 : length,
      keysUnknown: known !== "keys" && keysUnknown,
    };
    if (known !== "nothing") damagedRanges.push(damageMessage(inManifest));
  }
  return await newestUnread(segments, damage, { damagedRanges });
}

const rot: Case = {};

test("V13: rot that was known before is there as ever: nothing is lacking that could come", async () => {
  assert.equal(await unreadOf([]), 0);
  assert.equal(await unreadOf([rot, { offset: 0, length: fileBytes }]), 0);
});

test("V13: damage whose keys are known has its entries in the index, however new it is", async () => {
  assert.equal(await unreadOf([rot, { keysUnknown: false, known: "nothing", isRefused: true }]), 0);
});

for (const [what, found] of [
  ["the manifest did not know", { known: "nothing" }],
  ["the manifest knew less of", { known: "less" }],
  ["had known keys before", { known: "keys" }],
  ["the disk refuses", { isRefused: true }],
  ["is of a file that is away", { isThere: false }],
  ["is the end of a file that is too short", { offset: 60, length: 41 }],
] as const) {
  test(`V13: damage that ${what} may be read another time`, async () => {
    assert.equal(await unreadOf([rot, found, rot]), 19);
    assert.equal(await unreadOf([found, rot, found]), 29);
    assert.equal(await unreadOf([{ ...found, newest: 50 }, found]), 50);
  });
}
