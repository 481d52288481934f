/** What unsynced bytes can look like after a simulated power cut. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SimFileSystem } from "../support/sim-file-system.js";
import { type BytesSurvival, crashPolicies } from "../support/sim-survival.js";

async function contentOf(files: SimFileSystem, path: string): Promise<Uint8Array> {
  const file = await files.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

type Change =
  | { readonly kind: "write"; readonly position: number; readonly length: number }
  | { readonly kind: "cut"; readonly length: number };

interface History {
  readonly synced: number;
  readonly changes: readonly Change[];
  readonly seed: number;
}

/** A synced length, then writes and cuts that were not synced. */
const histories: fc.Arbitrary<History> = fc.record({
  synced: fc.integer({ min: 0, max: 3_000 }),
  changes: fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant("write" as const),
        position: fc.integer({ min: 0, max: 9_000 }),
        length: fc.integer({ min: 1, max: 9_000 }),
      }),
      fc.record({ kind: fc.constant("cut" as const), length: fc.integer({ min: 0, max: 9_000 }) }),
    ),
    { maxLength: 6 },
  ),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
});

/** What is left of a file under a policy, what it held, and what was synced of it. */
async function cut(
  history: History,
  bytes: BytesSurvival,
): Promise<{ left: Uint8Array; before: Uint8Array; synced: Uint8Array; touchedFrom: number }> {
  const files = new SimFileSystem();
  const file = await files.open("/a", "create");
  const synced = new Uint8Array(history.synced).fill(1);
  await file.write(synced, 0);
  await file.syncData();
  await files.syncDirectory("/");
  let touchedFrom = history.synced;
  for (const [index, change] of history.changes.entries()) {
    touchedFrom = Math.min(touchedFrom, change.kind === "write" ? change.position : change.length);
    if (change.kind === "cut") await file.truncate(change.length);
    else await file.write(new Uint8Array(change.length).fill(index + 2), change.position);
  }
  const before = await contentOf(files, "/a");
  const left = await contentOf(files.crash({ bytes, names: "kept" }, history.seed), "/a");
  return { left, before, synced, touchedFrom };
}

describe("unsynced bytes after a power cut", () => {
  const runs = { numRuns: 150 };

  it("are all there under 'kept' and all gone under 'lost'", async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        const kept = await cut(history, "kept");
        assert.deepEqual(kept.left, kept.before);
        const lost = await cut(history, "lost");
        assert.deepEqual(lost.left, lost.synced);
      }),
      runs,
    );
  });

  it("never change a synced byte that nothing wrote to, under any policy", async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.constantFrom(...crashPolicies), async (history, policy) => {
        const { left, synced, touchedFrom } = await cut(history, policy.bytes);
        assert.deepEqual(left.subarray(0, touchedFrom), synced.subarray(0, touchedFrom));
      }),
      runs,
    );
  });

  it("were all written there once, or are zero, under 'torn' and 'reordered'", async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        for (const policy of ["torn", "reordered"] as const) {
          const { left, synced } = await cut(history, policy);
          for (const [position, byte] of left.entries()) {
            const writer = history.changes[byte - 2];
            const isOld = byte === 0 || (byte === 1 && position < synced.length);
            const isNew =
              writer?.kind === "write" &&
              position >= writer.position &&
              position < writer.position + writer.length;
            assert.ok(isOld || isNew, `${policy}: byte ${byte} at ${position}`);
          }
        }
      }),
      runs,
    );
  });

  it("have their length under 'zeroed', 'garbage' and 'stale', and no content past the synced end", async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        const zeroed = await cut(history, "zeroed");
        assert.equal(zeroed.left.length, zeroed.before.length);
        assert.ok(zeroed.left.subarray(zeroed.synced.length).every((byte) => byte === 0));
        for (const policy of ["garbage", "stale"] as const) {
          const { left, before } = await cut(history, policy);
          assert.equal(left.length, before.length);
        }
      }),
      runs,
    );
  });
});

it("bytes that never reached the disk read as those of another file under 'stale'", async () => {
  const files = new SimFileSystem();
  const other = await files.open("/other", "create");
  await other.write(new Uint8Array(6_000).fill(7), 0);
  await other.syncData();
  const file = await files.open("/a", "create");
  await file.write(new Uint8Array(100).fill(2), 0);
  const seen = new Set<number>();
  for (let seed = 0; seed < 40; seed += 1) {
    const left = await contentOf(files.crash({ bytes: "stale", names: "kept" }, seed), "/a");
    for (const byte of left) seen.add(byte);
  }
  assert.deepEqual([...seen], [7]);
});

it("every file goes a way of its own under 'each'", async () => {
  const files = new SimFileSystem();
  const paths = ["/a", "/b"];
  for (const path of paths) {
    const file = await files.open(path, "create");
    await file.write(new Uint8Array(100).fill(2), 0);
  }
  const lengths = new Set<string>();
  for (let seed = 0; seed < 60; seed += 1) {
    const left = files.crash({ bytes: "each", names: "kept" }, seed);
    const [one, other] = await Promise.all(paths.map((path) => contentOf(left, path)));
    lengths.add(`${one?.length === 100}, ${other?.length === 100}`);
  }
  assert.equal(lengths.size, 4);
});

describe("one unsynced append after a power cut", () => {
  /** The tails of an append of two pages to a synced one, over many seeds. */
  async function tails(bytes: BytesSurvival): Promise<Uint8Array[]> {
    const files = new SimFileSystem();
    const file = await files.open("/a", "create");
    await file.write(new Uint8Array(4_096).fill(1), 0);
    await file.syncData();
    await files.syncDirectory("/");
    await file.write(new Uint8Array(8_192).fill(2), 4_096);
    const lefts: Uint8Array[] = [];
    for (let seed = 0; seed < 400; seed += 1) {
      const left = await contentOf(files.crash({ bytes, names: "kept" }, seed), "/a");
      lefts.push(left.subarray(4_096));
    }
    return lefts;
  }

  it("is whole, missing, cut at a sector or cut anywhere when torn (R1)", async () => {
    const lengths = (await tails("torn")).map((tail) => tail.length);
    assert.ok(lengths.includes(0));
    assert.ok(lengths.includes(8_192));
    assert.ok(lengths.some((length) => length > 0 && length < 8_192 && length % 512 === 0));
    assert.ok(lengths.some((length) => length % 512 !== 0));
  });

  it("can survive without what came before it when reordered: the hole is zero (R2)", async () => {
    const hole = new Uint8Array(8_192);
    hole.fill(2, 4_096);
    const seen = new Set((await tails("reordered")).map((tail) => `${tail.length} ${tail[0]}`));
    assert.deepEqual([...seen].sort(), ["0 undefined", "4096 2", "8192 0", "8192 2"]);
    assert.ok((await tails("reordered")).some((tail) => Buffer.compare(tail, hole) === 0));
  });

  it("is nothing but zeros, or nothing but noise, of its length (R5)", async () => {
    for (const tail of await tails("zeroed")) assert.deepEqual(tail, new Uint8Array(8_192));
    for (const tail of await tails("garbage")) {
      assert.equal(tail.length, 8_192);
      assert.ok(new Set(tail).size > 200);
    }
  });
});
