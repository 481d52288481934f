/** The newest accepted state: pending writes over what is published. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { AcceptedState, hasExpired } from "../../src/engine/accepted-state.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import { RequestMemory } from "../../src/engine/requests/request-memory.js";
import { PendingEntry } from "../../src/engine/write-op.js";
import { FrameFlag } from "../../src/format/frame.js";

const nowMs = 1000;
const key = Uint8Array.of(1, 200, 3);
const otherKey = Uint8Array.of(1, 200, 4);

function setUp() {
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const seed = new Uint8Array(16);
  const requests = new RequestMemory({ seed, monotonicMs: () => 0, retentionMs: 0 });
  const state = new AcceptedState(keydir, requests);
  const pending = (version: number, options: Partial<PendingEntry> & { key?: Uint8Array } = {}) => {
    const { flags = 0, expiresAtMs = 0, newKeyBytes = 0 } = options;
    const entry = new PendingEntry(version, expiresAtMs, flags, 60, newKeyBytes);
    const source = options.key ?? key;
    // The key lies inside the frame's bytes.
    entry.source = Uint8Array.from([9, ...source, 9]);
    entry.keyStart = 1;
    entry.keyEnd = 1 + source.length;
    state.accept(entry);
    return entry;
  };
  const publish = (version: number, expiresAtMs = 0): void => {
    keydir.put(key, 0, key.length, 5, 77, 60, expiresAtMs, version);
  };
  const standing = (of: Uint8Array = key) => {
    const { exists, isVisible, version, isIndexed } = state.look(of, nowMs);
    return { exists, isVisible, version, isIndexed };
  };
  return { state, pending, publish, standing };
}

const absent = { exists: false, isVisible: false, version: 0, isIndexed: false };
const visible = (version: number) => ({ exists: true, isVisible: true, version, isIndexed: true });
const expired = (version: number) => ({ exists: true, isVisible: false, version, isIndexed: true });

test("T1: a record is visible until its instant, and not from it on", () => {
  assert.deepEqual(
    [0, 999, 1000, 1001].map((expiresAtMs) => hasExpired(expiresAtMs, nowMs)),
    [false, true, true, false],
  );
});

test("V5 V14: what stands is the newest write that was accepted, published or not", () => {
  const { state, pending, publish, standing } = setUp();
  assert.deepEqual(standing(), absent);
  publish(3);
  assert.deepEqual(standing(), visible(3));
  assert.deepEqual(state.look(key, nowMs).place, {
    kind: "published",
    segment: 5,
    offset: 77,
    length: 60,
    version: 3,
  });
  const first = pending(4);
  assert.deepEqual(state.look(key, nowMs).place, { kind: "pending", entry: first });
  const second = pending(5, { expiresAtMs: nowMs });
  assert.deepEqual(standing(), expired(5));
  pending(6, { key: otherKey });
  assert.deepEqual(standing(otherKey), visible(6));
  const third = pending(7, { flags: FrameFlag.TOMBSTONE });
  assert.deepEqual(standing(), absent);
  // Publication of the older ones reveals none of them again.
  state.settle(first);
  state.settle(second);
  assert.deepEqual(standing(), absent);
  // A tombstone that is published has taken the key out of the index: here it has not.
  state.settle(third);
  assert.deepEqual(standing(), visible(3));
  assert.deepEqual(standing(otherKey), visible(6));
});

test("V14: writes that were accepted without anybody looking are seen by the first look", () => {
  const { state, pending, standing } = setUp();
  const entries = [pending(1), pending(2), pending(3)];
  for (const entry of entries.slice(0, 2)) state.settle(entry);
  assert.deepEqual(standing(), visible(3));
});

test("D6 B3: a group that failed leaves nothing of itself standing", () => {
  const { state, pending, publish, standing } = setUp();
  publish(3);
  pending(4, { newKeyBytes: 3 });
  standing();
  pending(5, { flags: FrameFlag.TOMBSTONE, key: otherKey });
  state.giveUp();
  assert.deepEqual(standing(), visible(3));
  assert.deepEqual([state.pendingKeys, state.pendingKeyBytes], [0, 0]);
  pending(6);
  assert.deepEqual(standing(), visible(6));
});

test("V11: keys that may be new to the index are counted until they are published", () => {
  const { state, pending } = setUp();
  const counts = () => [state.pendingKeys, state.pendingKeyBytes];
  const first = pending(1, { newKeyBytes: 3 });
  const second = pending(2, { newKeyBytes: 5 });
  const third = pending(3);
  assert.deepEqual(counts(), [2, 8]);
  state.settle(first);
  assert.deepEqual(counts(), [1, 5]);
  state.settle(third);
  assert.deepEqual(counts(), [1, 5]);
  state.settle(second);
  assert.deepEqual(counts(), [0, 0]);
});

test("V5: thousands of published writes leave the pending one of a key standing", () => {
  const { state, pending, standing } = setUp();
  const old = pending(1);
  for (let version = 2; version < 5000; version += 1) {
    const other = pending(version, { key: Uint8Array.of(version >> 8, version & 255, 7, 7) });
    if (version % 3 === 0) assert.deepEqual(standing(), visible(1));
    state.settle(other);
  }
  assert.deepEqual(standing(), visible(1));
  state.settle(old);
  assert.deepEqual(standing(), absent);
});

/** Notes when it is asked whether an entry is settled, once it is. */
function watchSettled(entry: PendingEntry, onAsked: () => void): void {
  let isSettled = false;
  Object.defineProperty(entry, "isSettled", {
    get: () => {
      if (isSettled) onAsked();
      return isSettled;
    },
    set: (value: boolean) => {
      isSettled = value;
    },
  });
}

const keyOf = (version: number): Uint8Array => Uint8Array.of(version >> 8, version & 255, 7, 7);

test("V11 V5: of writes that nobody looked for, those that are published are forgotten at every thousand", () => {
  const { state, pending, standing } = setUp();
  pending(1);
  let asked = 0;
  for (let version = 2; version < 5000; version += 1) {
    const other = pending(version, { key: keyOf(version) });
    watchSettled(other, () => {
      asked += 1;
    });
    state.settle(other);
  }
  const before = asked;
  assert.deepEqual([standing(), standing(otherKey)], [visible(1), absent]);
  assert.ok(asked - before <= 1030, `${asked - before} were still there`);
});

test("V11 V5: of writes that were looked for, those that are published are forgotten at every thousand", () => {
  const { state, pending, standing } = setUp();
  pending(1);
  const known: PendingEntry[] = [];
  const asked = new Set<PendingEntry>();
  for (let version = 2; version < 3500; version += 1) {
    const other = pending(version, { key: keyOf(version) });
    assert.deepEqual([standing(), standing(keyOf(version))], [visible(1), visible(version)]);
    if (version === 3000) {
      assert.ok(known.slice(0, 1900).every((entry) => asked.has(entry)));
      asked.clear();
    }
    watchSettled(other, () => asked.add(other));
    state.settle(other);
    known.push(other);
  }
  assert.ok(known.slice(0, 1900).every((entry) => !asked.has(entry)));
});
