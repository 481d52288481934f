/** Every way on which a write, a read or a page ends gives its ticket back. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, rejects, segmentFiles } from "../support/store-rig.js";

/** What a scene leaves behind: calls under way, and what lets them end. */
interface Scene {
  readonly what: string;
  /** Tickets that are out while the calls are under way. */
  readonly out: number;
  readonly options?: Parameters<typeof Rig.open>[0];
  readonly begin: (rig: Rig, gate: Gate) => Promise<readonly Promise<unknown>[]>;
}

const returnPrevious = true;
const big = "x".repeat(300 * 1024);

/** Holds back the syncs of segments, with another fate of some operations beside. */
function hold(rig: Rig, gate: Gate, failing?: "write" | "syncData"): void {
  rig.injector = ({ op, path }) => {
    if (!segmentFiles.test(path)) return undefined;
    if (op === failing) return { kind: "error", code: "EIO" };
    return op === "syncData" ? gate.fault : undefined;
  };
}

const scenes: readonly Scene[] = [
  {
    what: "answered",
    out: 3,
    begin: async (rig, gate) => {
      hold(rig, gate);
      return [
        rig.set("a", "2", { returnPrevious }),
        rig.set("a", "3", { returnPrevious }),
        rig.delete("a", { returnPrevious }),
      ];
    },
  },
  {
    what: "answered with what an unmet condition met",
    out: 2,
    begin: async (rig, gate) => {
      hold(rig, gate);
      const absent = { kind: "absent" } as const;
      return [
        rig.set("a", "2"),
        rig.set("a", "3", { condition: absent }),
        rig.touch("a", { kind: "never" }, { condition: { kind: "version", version: 999 } }),
      ];
    },
  },
  {
    what: "answered without a record",
    out: 0,
    begin: async (rig, gate) => {
      hold(rig, gate);
      return [rig.set("new", "1", { returnPrevious }), rig.set("a", "2"), rig.delete("b")];
    },
  },
  {
    what: "refused by the disk, and evaluated again",
    out: 2,
    begin: async (rig, gate) => {
      hold(rig, gate, "write");
      const refused = rejects(rig.set("a", "2", { returnPrevious }), "WRITE_FAILED");
      await rig.settle();
      assert.equal(gate.held, 1, "the cut is being synced");
      const again = rig.set("a", "3", { returnPrevious, durability: "buffered" });
      const unmet = rig.set("new", "4", { condition: { kind: "present" } });
      rig.injector = ({ op }) => (op === "syncData" ? gate.fault : undefined);
      return [refused, again, unmet];
    },
  },
  {
    what: "in doubt after a failed sync",
    out: 0,
    begin: async (rig) => {
      rig.injector = ({ op, path }) =>
        op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
      const buffered = rig.set("a", "2", { returnPrevious, durability: "buffered" });
      return [buffered, rejects(rig.set("a", "3", { returnPrevious }), "SYNC_FAILED")];
    },
  },
  {
    what: "turned away by the latch, in the group that failed and behind it",
    out: 2,
    begin: async (rig, gate) => {
      rig.injector = ({ op, path }) => {
        if (!segmentFiles.test(path)) return undefined;
        if (op === "truncate") return gate.fault;
        return op === "write" || op === "syncData" ? { kind: "error", code: "EIO" } : undefined;
      };
      const failed = rejects(rig.set("a", "2", { returnPrevious }), "SYNC_FAILED");
      await rig.settle();
      return [failed, rejects(rig.set("a", "3", { returnPrevious }), "STORE_READ_ONLY")];
    },
  },
  {
    what: "cancelled while it waits for room",
    out: 1,
    options: { inFlightBytesMax: 1024 },
    begin: async (rig, gate) => {
      hold(rig, gate);
      const first = rig.set("a", "x".repeat(1000), { returnPrevious });
      const controller = new AbortController();
      const { signal } = controller;
      const second = rejects(
        rig.set("a", "x".repeat(1000), { returnPrevious, signal }),
        "CANCELLED",
      );
      controller.abort();
      await second;
      return [first];
    },
  },
  {
    what: "left with a record that cannot be read",
    out: 0,
    begin: async (rig) => {
      const frame = (await rig.frames()).find(({ records }) => records[0]?.key === "a");
      assert.ok(frame);
      const path = `/store/segments/${frame.segment}`;
      await flipBitAtRest(rig.sim.files, path, (frame.offset + frame.length - 1) * 8);
      return [rejects(rig.set("a", "2", { returnPrevious }), "PREVIOUS_CORRUPT")];
    },
  },
  {
    what: "closed over",
    out: 1,
    begin: async (rig, gate) => {
      hold(rig, gate);
      const set = rig.set("a", "2", { returnPrevious });
      return [set, rig.store.close()];
    },
  },
  {
    what: "of a read in the pool",
    out: 2,
    begin: async (rig, gate) => {
      await rig.set("big", big);
      rig.injector = ({ op }) => (op === "read" ? gate.fault : undefined);
      return [rig.get("big"), rig.get("big")];
    },
  },
  {
    what: "of a read in the pool that fails",
    out: 0,
    begin: async (rig) => {
      await rig.set("big", big);
      rig.injector = ({ op }) => (op === "read" ? { kind: "error", code: "EIO" } : undefined);
      return [rejects(Promise.resolve(rig.get("big")), "READ_FAILED")];
    },
  },
  {
    what: "of a Touch whose record is read first",
    // That of all reads that it waits for, and that of the read itself.
    out: 2,
    begin: async (rig, gate) => {
      await rig.set("big", big);
      rig.injector = ({ op }) => (op === "read" ? gate.fault : undefined);
      return [rig.touch("big", { kind: "ttl", ttlMs: 1000 })];
    },
  },
  {
    what: "of a page",
    // The page's own, and that of its read.
    out: 2,
    begin: async (rig, gate) => {
      await rig.set("big", big);
      rig.injector = ({ op }) => (op === "read" ? gate.fault : undefined);
      return [rig.store.list({})];
    },
  },
  {
    what: "of a BatchGet",
    // Its own, and that of its read.
    out: 2,
    begin: async (rig, gate) => {
      await rig.set("big", big);
      rig.injector = ({ op }) => (op === "read" ? gate.fault : undefined);
      return [rig.store.batchGet([bytes("big")])];
    },
  },
  {
    what: "of a page that is cancelled",
    out: 2,
    begin: async (rig, gate) => {
      await rig.set("big", big);
      await rig.set("bigger", big);
      rig.injector = ({ op }) => (op === "read" ? gate.fault : undefined);
      const controller = new AbortController();
      const page = rig.store.list({ signal: controller.signal, bytesMax: big.length + 1000 });
      await rig.settle();
      controller.abort();
      return [page.catch(() => undefined)];
    },
  },
];

for (const { what, out, options, begin } of scenes) {
  test(`M10: the tickets of what is ${what} come back`, async () => {
    const rig = await Rig.open({ flushIntervalMs: 1000, cacheBytesMax: 0, ...options });
    await rig.set("a", "1");
    const gate = new Gate();
    const calls = await begin(rig, gate);
    await rig.settle();
    assert.equal(rig.store.stats().pins, out, "out");
    gate.open();
    await Promise.allSettled(calls);
    await Promise.all(calls);
    await rig.settle();
    assert.equal(rig.store.stats().pins, 0, "back");
    rig.injector = undefined;
    await rig.store.close().catch(() => undefined);
  });
}
