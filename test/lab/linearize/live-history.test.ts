/**
 * Clients over gRPC on the services of kvix: what they record is found sound where the
 * store is, and unsound where it lies.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Store } from "../../../src/engine/store.js";
import { makeDataDir } from "../../e2e/data-dir.js";
import { startMemoryServer } from "../../service/memory-server.js";
import { SimRandom } from "../../support/sim-random.js";
import { judge } from "./judge.js";
import { makeHistory } from "./live-history.js";
import { type Plan, planOf } from "./plan.js";
import { realServers, type StartServer } from "./server-lives.js";

const plan: Plan = {
  ...planOf(1),
  clients: 12,
  connections: 3,
  keys: 3,
  lives: [{ operations: 300, ending: "kill", pauses: 1, cuts: 1 }],
  isProxied: false,
  giveUpShare: 0.1,
};

/** One server in this process; its ends end nothing but the work. */
async function memoryServers(t: TestContext, lie: (store: Store) => Partial<Store>) {
  const wrap = (store: Store): Store => {
    const lies = lie(store);
    return new Proxy(store, {
      get: (_, name) => {
        const own = lies[name as keyof Store] ?? store[name as keyof Store];
        return typeof own === "function" ? own.bind(store) : own;
      },
    });
  };
  const { address } = await startMemoryServer(t, { wrap });
  const start: StartServer = async () => {
    return { address, pause: async () => false, cut: () => false, end: async () => [] };
  };
  return start;
}

test("a sound store has a sound history, with writes of unknown outcome in it (P3 V14)", async (t) => {
  const start = await memoryServers(t, () => ({}));
  const { operations, faults } = await makeHistory(plan, start, new SimRandom(1));
  const { counts, findings } = judge(operations);
  assert.deepEqual([faults, findings], [[], []]);
  assert.ok((counts["unknownWrites"] ?? 0) > 0);
  assert.ok((counts["overlapsOnKey"] ?? 0) / operations.length > 3);
});

test("the real server, stopped and killed in the midst of it, has a sound history (V1 P2 P3)", async (t) => {
  const lives = (["stop", "kill"] as const).map((ending) => {
    return { operations: 150, ending, pauses: 1, cuts: 2 };
  });
  const short = { ...plan, lives, isProxied: true };
  const random = new SimRandom(2);
  const start = realServers(makeDataDir(t), short, random);
  const { operations, faults, kills, stops, cuts } = await makeHistory(short, start, random);
  assert.deepEqual([faults, judge(operations).findings], [[], []]);
  assert.deepEqual([kills, stops], [1, 1]);
  assert.ok(cuts > 0);
});

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

const liars: [name: string, lie: (store: Store) => Partial<Store>][] = [
  [
    "answers a read with what it read before",
    (store) => {
      const cache = new Map<string, Awaited<ReturnType<Store["get"]>>>();
      return {
        get: async (key) => {
          const name = Buffer.from(key).toString();
          const known = cache.get(name);
          cache.set(name, await store.get(key));
          return known ?? cache.get(name);
        },
      };
    },
  ],
  [
    "acknowledges a delete before it happens",
    (store) => ({
      delete: async (key, options) => {
        const record = await store.get(key);
        void settled().then(() => store.delete(key, options));
        const deleted = record !== undefined;
        const version = deleted ? store.version + 1 : 0;
        return { applied: true, deleted, version, previous: record, current: undefined };
      },
    }),
  ],
  [
    "judges a condition and writes in two steps",
    (store) => ({
      set: async (key, value, expiry, options = {}) => {
        const { condition, ...rest } = options;
        const facts = store.exists(key);
        await settled();
        const isMet =
          condition === undefined ||
          (condition.kind === "version"
            ? facts?.version === condition.version
            : (condition.kind === "present") === (facts !== undefined));
        return await store.set(key, value, expiry, isMet ? rest : options);
      },
    }),
  ],
];

for (const [name, lie] of liars) {
  test(`a store that ${name} is found out`, async (t) => {
    const start = await memoryServers(t, lie);
    const { operations } = await makeHistory(plan, start, new SimRandom(1));
    const { findings } = judge(operations);
    assert.match(findings.join("\n"), /is not linearizable:\n/);
  });
}

const commitPlan: Plan = { ...plan, commitClients: 6, keptMs: 600_000 };

test("commits and increments over a sound store have a place in the order of versions, repeats included (G-COMMIT-1 G-REQID-1)", async (t) => {
  const start = await memoryServers(t, () => ({}));
  const { faults, commits } = await makeHistory(commitPlan, start, new SimRandom(3));
  assert.deepEqual(faults, []);
  assert.ok(commits > 30, `${commits} commits`);
});

test("the real server, killed in the midst of commits, makes each once (G-COMMIT-1 G-REQID-1 G-REQID-5)", async (t) => {
  const lives = (["kill", "stop", "kill"] as const).map((ending) => {
    return { operations: 150, ending, pauses: 0, cuts: 3 };
  });
  const flags = planOf(1).serverFlags;
  const at = flags.indexOf("--watch-retention") + 1;
  const serverFlags = flags.with(at, "10m");
  const short = { ...commitPlan, lives, isProxied: true, serverFlags };
  const random = new SimRandom(4);
  const start = realServers(makeDataDir(t), short, random);
  const { faults, commits, repeats } = await makeHistory(short, start, random);
  assert.deepEqual(faults, []);
  assert.ok(commits > 60 && repeats > 0, `${commits} commits, ${repeats} repeats`);
});

const commitLiars: [name: string, why: RegExp, lie: (store: Store) => Partial<Store>][] = [
  [
    "makes a repeat again",
    /made twice|first twice|does not add/,
    (store) => ({
      commit: (mutations, { requestId: _, ...options } = {}) => store.commit(mutations, options),
    }),
  ],
  [
    "makes a commit in two steps",
    /no place|follow one another/,
    (store) => ({
      commit: async (mutations, options = {}) => {
        if (mutations.length < 2) return await store.commit(mutations, options);
        const first = await store.commit(mutations.slice(0, 1), options);
        if (!first.applied) return first;
        await settled();
        const rest = await store.commit(mutations.slice(1));
        return { ...first, results: [...first.results, ...rest.results] };
      },
    }),
  ],
  [
    "looks at the conditions first and writes later",
    /no place/,
    (store) => ({
      commit: async (mutations, options = {}) => {
        const looked = await store
          .commit([], { ...options, conditions: options.conditions ?? [] })
          .catch(() => undefined);
        if (looked?.applied === false || mutations.length === 0) {
          return looked ?? (await store.commit(mutations, options));
        }
        await settled();
        return await store.commit(mutations, { ...options, conditions: [] });
      },
    }),
  ],
];

for (const [name, why, lie] of commitLiars) {
  test(`a store that ${name} is found out by its commits`, async (t) => {
    const told: string[] = [];
    // Who meets whom is for the machine to say; one history may have had no clash.
    for (let seed = 5; seed < 15 && !why.test(told.join("\n")); seed += 1) {
      const start = await memoryServers(t, lie);
      const { faults } = await makeHistory(commitPlan, start, new SimRandom(seed));
      told.push(...faults);
    }
    assert.match(told.join("\n"), why);
  });
}
