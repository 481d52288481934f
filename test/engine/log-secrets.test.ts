/**
 * What the engine says, in its log and in its errors, while everything goes
 * wrong that can: names of files, places and counts, and neither key nor value.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { KEY_BYTES_MAX } from "../../src/base/limits.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../src/engine/options.js";
import type { SimHook } from "../support/sim-hook.js";
import type { SimHost } from "../support/sim-host.js";
import {
  fileOf,
  flipped,
  hintPathOf,
  hostOf,
  type StoreImage,
  segmentPathOf,
  withFile,
  withoutHints,
} from "../support/store-image.js";
import { buildStore, bytesOf, put, setOf, smallStore } from "../support/store-life.js";

const KEY = "hush-the-key";
const VALUE = "hush-the-value";

/** Everything that a thing shows of itself: text, numbers and bytes, however deep. */
function* shownBy(thing: unknown, seen = new Set<unknown>()): Generator<string> {
  if (typeof thing !== "object" || thing === null) {
    yield String(thing);
    return;
  }
  if (seen.has(thing)) return;
  seen.add(thing);
  if (ArrayBuffer.isView(thing)) {
    yield Buffer.from(thing.buffer, thing.byteOffset, thing.byteLength).toString("latin1");
    return;
  }
  if (thing instanceof Map || thing instanceof Set) yield* shownBy([...thing], seen);
  if (Array.isArray(thing) && thing.every((each) => typeof each === "number")) {
    yield String.fromCharCode(...thing);
  }
  // Of an error also what is not enumerable: message, stack, cause.
  for (const name of Object.getOwnPropertyNames(thing)) {
    yield name;
    yield* shownBy((thing as Record<string, unknown>)[name], seen);
  }
}

const secrets = ["hush-the"].flatMap((secret) => {
  const bytes = Buffer.from(secret);
  // Of base64 what is the same whatever stands before and behind it.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .slice(4, -4),
  );
  return [secret, bytes.toString("hex"), bytes.join(","), bytes.join(", "), ...base64];
});

function requireSilence(thing: unknown, where: string): void {
  for (const text of shownBy(thing)) {
    for (const secret of secrets) assert.ok(!text.includes(secret), `${where}: ${text}`);
  }
}

/** Calls of every kind, some of them wrong; what they throw. */
async function callAll(store: LocalStore): Promise<unknown[]> {
  const key = bytesOf(KEY);
  const value = bytesOf(VALUE);
  const never = { kind: "never" } as const;
  const long = Buffer.alloc(KEY_BYTES_MAX + 1, KEY);
  const huge = bytesOf(VALUE.repeat(40));
  const requestId = new Uint8Array(16).fill(7);
  const calls: (() => unknown)[] = [
    () => store.get(key),
    () => store.exists(key),
    () => store.get(bytesOf(`${KEY}-gone`)),
    () => store.get(long),
    () => store.exists(long),
    () => store.set(long, value, never),
    () => store.set(key, value, { kind: "ttl", ttlMs: -1 }),
    () => store.set(key, value, { kind: "ttl", ttlMs: 1e18 }),
    () => store.set(key, value, never, { condition: { kind: "version", version: -1 } }),
    () => store.set(key, value, never, { signal: AbortSignal.abort() }),
    () => store.set(key, value, never, { condition: { kind: "absent" } }),
    () => store.set(key, huge, never, { returnPrevious: true }),
    () => store.set(key, value, { kind: "keep" }, { durability: "buffered" }),
    () => store.commit([setOf(KEY, VALUE), setOf(KEY, VALUE)]),
    () => store.commit([setOf(KEY, VALUE), setOf(`${KEY}-2`, VALUE)]),
    () => store.commit(Array.from({ length: 10_001 }, () => setOf(KEY, VALUE))),
    () => store.commit([], { conditions: [{ key, condition: { kind: "absent" } }] }),
    () => store.commit([{ kind: "increment", key, delta: 1n, initial: 0n }], { requestId }),
    () => store.commit([setOf(KEY, VALUE)], { requestId }),
    () => store.increment(key, 1n, { requestId }),
    () => store.increment(long, 1n),
    () => store.delete(key, { returnPrevious: true }),
    () => store.set(bytesOf(`${KEY}-3`), huge, never),
    () => store.set(bytesOf(`${KEY}-4`), huge, never),
    () => store.hintsWritten(),
    () => store.flush(),
    () => store.close(),
    () => store.get(key),
  ];
  const thrown: unknown[] = [];
  for (const call of calls) {
    await Promise.resolve()
      .then(call)
      .catch((error: unknown) => thrown.push(error));
  }
  return thrown;
}

interface Trouble {
  readonly image: StoreImage;
  readonly options?: Partial<StoreOptionsInput>;
  readonly spoil?: (host: SimHost) => void;
  /** Reasons that must come up, so that the trouble is known to have been met. */
  readonly reasons: readonly string[];
}

const fails =
  (wanted: string, name: RegExp): SimHook =>
  ({ op, path }) =>
    op === wanted && name.test(path) ? "fail" : undefined;

test("V12 V13: neither log nor error tells a key or a value, whatever goes wrong", async () => {
  const built = await buildStore(async (store) => {
    for (const index of [1, 2, 3, 4, 5, 6]) await put(store, KEY, `${VALUE}-${index}`);
    await put(store, `${KEY}-gone`, VALUE);
    await put(store, `${KEY}-2`, VALUE.repeat(9));
    await put(store, KEY, `${VALUE}-7`);
  }, "closed");
  const listed = built.sealed.at(-1);
  assert.ok(listed);
  const path = segmentPathOf(listed);
  const bytes = fileOf(built.image, path);
  const active = segmentPathOf(built.active);
  const last = fileOf(built.image, active);
  const hint = fileOf(built.image, hintPathOf(listed));
  const burst = bytes.slice();
  burst.fill(0x68, 20, 33);
  const rot = withFile(built.image, active, flipped(last, (last.length - 3) * 8));
  const onOperation = (hook: SimHook) => (host: SimHost) => {
    host.files.onOperation = hook;
  };
  const troubles: Record<string, Trouble> = {
    none: { image: built.image, reasons: ["KEY_TOO_LARGE", "FIELD_INVALID", "CANCELLED"] },
    "rot in a value": { image: rot, reasons: ["RECORD_CORRUPT"] },
    "a burst in a segment": {
      image: withFile(withoutHints(built.image), path, burst),
      reasons: ["STORE_CLOSING"],
    },
    "strict recovery": {
      image: withFile(withoutHints(built.image), path, burst),
      options: { recovery: "strict" },
      reasons: ["STORE_DAMAGED"],
    },
    "rot in a hint": {
      image: withFile(built.image, hintPathOf(listed), flipped(hint, 99)),
      reasons: ["BATCH_TOO_LARGE"],
    },
    "a segment that is missing": { image: withFile(built.image, path), reasons: [] },
    "a torn tail": {
      image: withFile(built.image, active, Buffer.concat([last, bytes.subarray(0, 50)])),
      reasons: [],
    },
    "an index that is too small": {
      image: built.image,
      options: { indexBytesMax: 1 },
      reasons: ["INDEX_LIMIT_TOO_SMALL"],
    },
    "a disk that refuses to read": {
      image: built.image,
      spoil: (host) => onOperation(fails("read", /\.seg$/))(host),
      reasons: ["READ_FAILED"],
    },
    "a disk that refuses to write": {
      image: built.image,
      spoil: onOperation(fails("write", /\.seg$/)),
      reasons: ["WRITE_FAILED"],
    },
    "a disk that is full": {
      image: built.image,
      spoil: (host) => {
        host.files.capacityBytes = 1;
      },
      reasons: ["NO_SPACE"],
    },
    "a sync that fails": {
      image: built.image,
      spoil: onOperation(fails("syncData", /\.seg$/)),
      reasons: ["SYNC_FAILED", "STORE_READ_ONLY"],
    },
    "a manifest that fails": {
      image: built.image,
      spoil: onOperation(fails("rename", /MANIFEST/)),
      reasons: ["STORE_READ_ONLY"],
    },
    "a hint that fails": {
      image: withoutHints(built.image),
      spoil: onOperation(fails("write", /\.hint/)),
      reasons: ["STORE_CLOSING"],
    },
  };
  let lines = 0;
  for (const [name, { image, options, spoil, reasons }] of Object.entries(troubles)) {
    const host = hostOf(image, built.clock);
    const thrown: unknown[] = [];
    const store = await openStore({ ...smallStore, ...options }, host).catch((error: unknown) => {
      thrown.push(error);
    });
    spoil?.(host);
    if (store !== undefined) thrown.push(...(await callAll(store)));
    for (const error of thrown) {
      assert.ok(error instanceof KvixError, `${name}: ${String(error)}`);
      requireSilence(error, `${name}: ${error.reason}`);
    }
    const met = thrown.map((error) => (error as KvixError).reason);
    for (const reason of reasons) assert.ok(met.includes(reason as never), `${name}: ${reason}`);
    requireSilence(host.log.lines, name);
    requireSilence(store?.stats(), `${name}: the figures`);
    lines += host.log.lines.length;
  }
  assert.ok(lines >= 10, `${lines} lines`);
});

test("V12: what is looked through is seen, in any form", () => {
  const key = Buffer.from(KEY);
  const cause = new Error("x", { cause: { deep: [new Uint8Array(key)] } });
  for (const thing of [KEY, key, [...key], { key }, cause, new Map([[1, { [KEY]: 1 }]])]) {
    assert.throws(() => requireSilence(thing, ""), assert.AssertionError);
  }
  for (const text of [key.toString("hex"), key.toString("base64"), key.join(",")]) {
    assert.throws(() => requireSilence(new Error(text), ""), assert.AssertionError);
  }
  assert.throws(() => requireSilence(Buffer.from(`a${KEY}`).toString("base64"), ""));
  requireSilence({ file: "segment_00001_1.seg", err: new Error("EIO") }, "");
});
