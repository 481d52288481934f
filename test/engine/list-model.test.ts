/** List against a sorted map: random keys, ranges and page sizes, with writes between the pages. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, Rig, text } from "../support/store-rig.js";

const someKey = fc
  .uint8Array({ minLength: 1, maxLength: 4 })
  .map((key) => key.map((x) => x & 0x83));
const someBound = fc.oneof(fc.constant(undefined), fc.constant(new Uint8Array(0)), someKey);
const change = fc.record({
  key: someKey,
  length: fc.option(fc.integer({ min: 0, max: 200 }), { nil: undefined }),
  ttlMs: fc.option(fc.integer({ min: 1, max: 3000 }), { nil: undefined }),
});

test("I9: every page of every list is what a sorted map has at that moment", async () => {
  const input = fc.record({
    first: fc.array(change, { maxLength: 60 }),
    between: fc.array(fc.array(change, { maxLength: 8 }), { maxLength: 6 }),
    prefix: someBound,
    start: someBound,
    end: someBound,
    usesPrefix: fc.boolean(),
    reverse: fc.boolean(),
    keysOnly: fc.boolean(),
    limit: fc.integer({ min: 1, max: 9 }),
    bytesMax: fc.integer({ min: 1, max: 2000 }),
    stepMs: fc.integer({ min: 0, max: 1500 }),
  });
  await fc.assert(
    fc.asyncProperty(input, async ({ first, between, usesPrefix, stepMs, ...options }) => {
      const rig = await Rig.open({ segmentBytesMax: 2000 });
      const map = new Map<string, { value: string; expiresAtMs: number }>();
      const apply = async (changes: typeof first): Promise<void> => {
        for (const { key, length, ttlMs } of changes) {
          const name = Buffer.from(key).toString("latin1");
          if (length === undefined) {
            map.delete(name);
            await rig.store.delete(key, { durability: "buffered" });
            continue;
          }
          const value = "v".repeat(length);
          const expiry =
            ttlMs === undefined ? { kind: "never" as const } : { kind: "ttl" as const, ttlMs };
          const { expiresAtMs } = await rig.store.set(key, bytes(value), expiry, {
            durability: "buffered",
          });
          map.set(name, { value, expiresAtMs });
        }
      };
      await apply(first);
      const { start, end, reverse } = options;
      const isOrdered = !start?.length || !end?.length || Buffer.compare(start, end) <= 0;
      const range = usesPrefix
        ? { prefix: options.prefix }
        : isOrdered
          ? { start, end }
          : { start: end, end: start };
      const ask = { ...options, prefix: undefined, start: undefined, end: undefined, ...range };
      let after: Uint8Array | undefined;
      for (let page = 0; page < 200; page += 1) {
        const nowMs = rig.sim.clock.wallMs();
        const isInRange = (key: Buffer): boolean =>
          (!ask.prefix?.length || key.subarray(0, ask.prefix.length).equals(ask.prefix)) &&
          (!ask.start?.length || Buffer.compare(key, ask.start) >= 0) &&
          (!ask.end?.length || Buffer.compare(key, ask.end) < 0) &&
          (after === undefined || Buffer.compare(key, after) * (reverse ? -1 : 1) > 0);
        const expected = [...map]
          .filter(([, { expiresAtMs }]) => expiresAtMs === 0 || nowMs < expiresAtMs)
          .map(([name, { value }]) => [Buffer.from(name, "latin1"), value] as const)
          .filter(([key]) => isInRange(key))
          .sort(([one], [other]) => (reverse ? -1 : 1) * Buffer.compare(one, other));
        const found = await rig.store.list({ ...ask, after });
        assert.ok(found.records.length <= ask.limit);
        for (const [index, listed] of found.records.entries()) {
          assert.deepEqual(Buffer.from(listed.key), expected[index]?.[0]);
          if (typeof listed.record === "string") continue;
          assert.equal(text(listed.record.value), expected[index]?.[1]);
        }
        if (found.after === undefined) {
          assert.equal(found.records.length, expected.length, "the last page has the rest");
          break;
        }
        after = found.after;
        await apply(between[page] ?? []);
        await rig.sim.clock.advance(stepMs);
        assert.ok(page < 199, "a list ends");
      }
      await rig.store.close();
    }),
    { numRuns: 150 },
  );
});
