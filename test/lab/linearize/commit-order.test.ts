/** The order over several keys: good histories pass, each known bad one is found. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ManyKeyOperation, Seen, Written } from "./commit-history.js";
import { commitFaults } from "./commit-order.js";

const see = (key: number, version: number): Seen => ({ key, version });
const put = (key: number, version: number, value: string): Written => {
  return { key, version, value, delta: undefined };
};
const add = (key: number, version: number, value: bigint, delta = 1n): Written => {
  return { key, version, value: String(value), delta };
};

function op(
  calledAt: number,
  endedAt: number,
  seen: readonly Seen[],
  ...written: readonly Written[]
): ManyKeyOperation {
  return { name: `op-${calledAt}`, calledAt, endedAt, seen, written };
}

const good: Record<string, ManyKeyOperation[]> = {
  "one after the other": [
    op(1, 2, [see(0, 0)], add(0, 1, 1n), put(1, 2, "a")),
    op(3, 4, [see(0, 1), see(1, 2)]),
    op(5, 6, [see(0, 1)], add(0, 3, 2n)),
    op(7, 8, [see(0, 3), see(1, 2)]),
  ],
  "reads beside a commit, before and after it": [
    op(1, 2, [], put(0, 1, "a"), put(1, 2, "a")),
    op(3, 10, [], put(0, 5, "b"), put(1, 6, "b")),
    op(4, 6, [see(0, 1), see(1, 2)]),
    op(5, 7, [see(0, 5), see(1, 6)]),
    op(8, 9, [see(0, 5)]),
  ],
  "a repeat that was answered late": [
    op(1, 20, [], add(0, 1, 1n)),
    op(2, 3, [see(0, 0)]),
    op(4, 5, [see(0, 1)]),
    op(6, 7, [], add(0, 2, 2n)),
  ],
};

for (const [name, history] of Object.entries(good)) {
  test(`a good history over several keys passes: ${name}`, () => {
    assert.deepEqual(commitFaults(history), []);
    assert.deepEqual(commitFaults(history.toReversed()), []);
  });
}

const written = op(1, 2, [], put(0, 1, "a"), put(1, 2, "a"));
const again = op(3, 4, [], put(0, 3, "b"), put(1, 4, "b"));

const bad: Record<string, [RegExp, ManyKeyOperation[]]> = {
  "half a commit is seen": [/no place/, [written, again, op(3, 9, [see(0, 3), see(1, 2)])]],
  "half a commit is seen, the other half": [
    /no place/,
    [written, again, op(3, 9, [see(0, 1), see(1, 4)])],
  ],
  "a read is older than what had ended before": [
    /no place/,
    [written, again, op(5, 6, [see(0, 1)])],
  ],
  "a read is older than another read before it": [
    /no place/,
    [written, op(3, 20, [], put(0, 3, "b")), op(4, 5, [see(0, 3)]), op(6, 7, [see(0, 1)])],
  ],
  "the order of two keys is turned round between readers": [
    /no place/,
    [
      op(1, 2, [], put(0, 1, "a"), put(1, 2, "a")),
      op(3, 20, [], put(0, 3, "b")),
      op(4, 21, [], put(1, 4, "b")),
      op(5, 6, [see(1, 4)]),
      op(7, 8, [see(0, 1)]),
    ],
  ],
  "a condition was met by what had been overwritten": [
    /no place/,
    [written, again, op(5, 9, [see(0, 1)], put(2, 5, "c"))],
  ],
  "two commits were met by the same version, which both overwrite": [
    /no place/,
    [written, op(3, 9, [see(0, 1)], put(0, 3, "b")), op(4, 8, [see(0, 1)], put(0, 4, "c"))],
  ],
  "an increment was lost": [
    /does not add/,
    [op(1, 2, [], add(0, 1, 1n)), op(3, 4, [], add(0, 2, 1n))],
  ],
  "an increment was applied twice": [
    /does not add/,
    [op(1, 2, [], add(0, 1, 1n)), op(3, 4, [], add(0, 3, 3n))],
  ],
  "what was acknowledged is gone after a crash": [
    /no place/,
    [op(1, 2, [], put(0, 1, "a")), op(3, 4, [see(0, 0)])],
  ],
  "a version came later and is lower": [
    /no place/,
    [op(1, 2, [], put(0, 7, "a")), op(3, 4, [], put(1, 5, "b"))],
  ],
  "a version was given twice": [/given twice/, [written, op(3, 4, [], put(2, 2, "c"))]],
  "something stands between the mutations of a commit": [
    /follow one another/,
    [op(1, 9, [], put(0, 1, "a"), put(1, 3, "a")), op(1, 9, [], put(2, 2, "b"))],
  ],
  "a write shows that was refused": [/nobody wrote/, [written, op(3, 4, [see(0, 9)])]],
};

for (const [name, [why, history]] of Object.entries(bad)) {
  test(`a bad history over several keys is found: ${name} (B1 B2 V14)`, () => {
    assert.match(commitFaults(history).join("\n"), why);
  });
}
