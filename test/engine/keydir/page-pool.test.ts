/** Blocks in shared pages: no block is given twice, and empty pages go back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KvixError } from "../../../src/base/kvix-error.js";
import { PagePool } from "../../../src/engine/keydir/page-pool.js";

const shape = { blockWords: 3, blocksPerPage: 4, trailerWords: 2, pagesMax: 50 };
const pageBytes = (3 * 4 + 2) * 4;

test("blocks in use are distinct, keep their words, and no page stays empty beside another", () => {
  const operations = fc.array(fc.oneof(fc.constant(-1), fc.constant(-1), fc.nat(150)), {
    maxLength: 250,
    size: "max",
  });
  fc.assert(
    fc.property(operations, (all) => {
      const pool = new PagePool(shape);
      const used: number[] = [];
      for (const [mark, operation] of all.entries()) {
        if (operation < 0) {
          if (used.length === 4 * shape.pagesMax) continue;
          const block = pool.allocate();
          assert.ok(!used.includes(block));
          used.push(block);
          words(pool, block).fill(mark + 1000 * block);
        } else if (used.length > 0) {
          const [block] = used.splice(operation % used.length, 1);
          const mark = words(pool, block!)[0]!;
          assert.deepEqual([...words(pool, block!)], [mark, mark, mark]);
          pool.free(block!);
        }
        for (const block of used) {
          const [first, second, third] = words(pool, block);
          assert.equal(first, second);
          assert.equal(second, third);
        }
        assert.equal(pool.blockCount, used.length);
        const pagesInUse = new Set(used.map((block) => block >>> 2)).size;
        const room = pool.bytes / pageBytes - pagesInUse;
        assert.ok(room === 0 || room === 1, `${room} pages are empty`);
      }
      for (const block of used) pool.free(block);
      pool.trim();
      assert.equal(pool.bytes, 0);
    }),
  );
});

test("pages are shared memory of fixed length, and a block never used is zero", () => {
  const pool = new PagePool(shape);
  const block = pool.allocate();
  const page = pool.pages[block >>> 2]!;
  assert.ok(page.buffer instanceof SharedArrayBuffer);
  assert.equal(page.buffer.byteLength, pageBytes);
  assert.deepEqual([...words(pool, block)], [0, 0, 0]);
});

test("bytesFor says what allocating adds", () => {
  const pool = new PagePool(shape);
  for (let blocks = 1; blocks < 20; blocks++) {
    const before = pool.bytes;
    const added = pool.bytesFor(blocks);
    const taken = Array.from({ length: blocks }, () => pool.allocate());
    assert.equal(pool.bytes - before, added);
    for (const block of taken.slice(blocks >>> 1)) pool.free(block);
  }
});

test("past the last page number the pool refuses and stays as it was (V11)", () => {
  const pool = new PagePool({ ...shape, pagesMax: 2 });
  for (let i = 0; i < 8; i++) pool.allocate();
  assert.throws(
    () => pool.allocate(),
    (error) => error instanceof KvixError && error.reason === "INDEX_FULL",
  );
  assert.equal(pool.blockCount, 8);
  pool.free(3);
  assert.equal(pool.allocate(), 3);
});

function words(pool: PagePool, block: number): Int32Array {
  const start = (block & 3) * shape.blockWords;
  return pool.pages[block >>> 2]!.subarray(start, start + shape.blockWords);
}
