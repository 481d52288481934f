/**
 * Commits and increments under crashes: the power is cut, or the process killed, at
 * file operations and in the midst of every write, compactions included; then every
 * request whose answer did not arrive is repeated under its id, as a client would.
 *
 * The counters tell: each request adds 1 to "n" and 2 to "m" and writes a key of its
 * own, so a part of a commit, a commit applied twice and one that was acknowledged
 * and lost all show.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import type { CommitResult, Durability, Mutation } from "../../src/engine/store.js";
import { compact } from "../support/compaction-rig.js";
import { isMutating } from "../support/file-operation.js";
import { crashAt } from "../support/sim-hook.js";
import { type SimHost, simHost } from "../support/sim-host.js";
import { crashPolicies } from "../support/sim-survival.js";
import { fileOf, imageOf } from "../support/store-image.js";
import { bytes, text } from "../support/store-rig.js";
import { unpaced } from "../support/unpaced.js";

const options = {
  dataDir: "/store",
  segmentBytesMax: 700,
  liftFloors: true,
  diskReserveBytes: 0,
  compaction: "manual",
  watchRetentionMs: 20_000,
} as const;
const REQUESTS = 14;

/** What became of a request, as its client knows. */
interface Fate {
  readonly answer: CommitResult | undefined;
  readonly isDurable: boolean;
}

const idOf = (request: number): Uint8Array => bytes(`request ${request}`.padEnd(16, "."));

function mutationsOf(request: number): Mutation[] {
  const add = (key: string, delta: bigint): Mutation => {
    return { kind: "increment", key: bytes(key), delta, initial: 0n };
  };
  const own = { key: bytes(`own-${request}`), value: bytes("x".repeat((request % 3) * 60)) };
  return [
    add("n", 1n),
    { kind: "set", ...own },
    { kind: "delete", key: bytes(`own-${request - 3}`) },
    { kind: "touch", key: bytes(`own-${request - 1}`), expiry: { kind: "never" } },
    add("m", 2n),
  ];
}

const ask = (store: LocalStore, request: number, durability: Durability) =>
  store.commit(mutationsOf(request), { requestId: idOf(request), durability });

const open = (host: SimHost) => openStore(options, host, { pacer: unpaced(host.clock) });

/** What the clients know, and whether what came first may have left the window. */
class Clients {
  readonly fates: Map<number, Fate>;
  isCompacted = false;

  constructor(fates: ReadonlyMap<number, Fate> = new Map()) {
    this.fates = new Map(fates);
  }

  /** What they know now: a process that is dead may go on for a while. */
  clone(): Clients {
    const clients = new Clients(this.fates);
    clients.isCompacted = this.isCompacted;
    return clients;
  }
}

/** All requests, some together, with compactions and a restart between them. */
async function live(host: SimHost, clients: Clients): Promise<void> {
  const { fates } = clients;
  let store = await open(host);
  for (let request = 0; request < REQUESTS; ) {
    const count = 1 + (request % 3);
    const calls = Array.from({ length: count }, async (_, step) => {
      const number = request + step;
      const durability = number % 4 === 3 ? "buffered" : "sync";
      fates.set(number, { answer: undefined, isDurable: false });
      const answer = await ask(store, number, durability);
      fates.set(number, { answer, isDurable: durability === "sync" });
    });
    await Promise.all(calls);
    request += count;
    if (request === 6) {
      await host.clock.advance(30_000);
      clients.isCompacted = true;
      await compact({ store });
    }
    if (request !== 9) continue;
    await store.close();
    store = await open(host);
  }
}

async function number(store: LocalStore, key: string): Promise<bigint> {
  const record = await store.get(bytes(key));
  return record === undefined ? 0n : BigInt(text(record.value));
}

/** Opens what is left, repeats what was asked for, and counts. */
async function judge(host: SimHost, { fates, isCompacted }: Clients, where: string) {
  const store = await open(host);
  assert.deepEqual(store.stats().damage, [], where);
  const before = await number(store, "n");
  assert.equal(await number(store, "m"), before * 2n, `${where}: a part of a commit is there`);
  const forgotten = new Set<number>();
  for (const [request, { answer, isDurable }] of fates) {
    // What a compaction took is out of the window: its client no longer repeats it.
    if (request < 6 && isCompacted) {
      forgotten.add(request);
      continue;
    }
    const repeat = await ask(store, request, "sync");
    assert.equal(repeat.applied, true, where);
    if (isDurable) assert.equal(repeat.repeated, true, `${where}: ${request} was acknowledged`);
    if (repeat.repeated && answer !== undefined) {
      assert.deepEqual(repeat.results, answer.results, `${where}: ${request}`);
    }
    assert.equal((await ask(store, request, "sync")).repeated, true, where);
  }
  const asked = BigInt(fates.size);
  assert.equal(await number(store, "n"), asked, `${where}: each was applied once`);
  assert.equal(await number(store, "m"), asked * 2n, where);
  await store.close();
  const again = await open(host);
  for (const request of fates.keys()) {
    if (forgotten.has(request)) continue;
    assert.equal((await ask(again, request, "sync")).repeated, true, `${where}, opened again`);
  }
  assert.equal(await number(again, "n"), asked, where);
  await again.close();
}

/** One life, crashed there; answers whether it came to its end. */
async function crashed(
  index: number,
  moment: "crash-before" | "crash-midway",
): Promise<{ host: SimHost; clients: Clients; ended: boolean }> {
  const host = simHost({ seed: 1 });
  const clients = new Clients();
  let known = clients;
  const hook = crashAt(index, moment);
  let onCrash = (): void => undefined;
  const crash = new Promise<boolean>((resolve) => {
    onCrash = () => resolve(false);
  });
  host.files.onOperation = (operation) => {
    const verdict = hook(operation);
    if (verdict !== undefined) {
      known = clients.clone();
      onCrash();
    }
    return verdict;
  };
  const ended = await Promise.race([
    live(host, clients).then(
      () => true,
      (error: unknown) => {
        if (error instanceof KvixError) return false;
        throw error;
      },
    ),
    crash,
  ]);
  return { host, clients: known, ended };
}

async function countOperations(): Promise<number> {
  const host = simHost({ seed: 1 });
  let count = 0;
  host.files.onOperation = ({ op }) => {
    if (isMutating(op)) count += 1;
    return undefined;
  };
  await live(host, new Clients());
  return count;
}

test("V1 V8 B1 B3 M5: a commit is applied once or not at all, whatever crashes between it and its repeat (G-COMMIT-1 G-REQID-5)", async (t) => {
  const operations = await countOperations();
  assert.ok(operations > 60, `${operations} operations`);
  let recoveries = 0;
  for (let index = 1; index < operations; index += 3) {
    for (const moment of ["crash-before", "crash-midway"] as const) {
      if (moment === "crash-midway" && index % 2 === 1) continue;
      const { host, clients, ended } = await crashed(index, moment);
      if (ended) continue;
      const policy = crashPolicies[index % crashPolicies.length] ?? crashPolicies[0];
      assert.ok(policy);
      const isKill = index % 5 === 0;
      const files = isKill ? host.files.kill() : host.files.crash(policy, index);
      const next = simHost({ seed: 2, files, clock: host.clock });
      await judge(next, clients, `${moment} ${index}, ${isKill ? "kill" : JSON.stringify(policy)}`);
      recoveries += 1;
    }
  }
  t.diagnostic(`${operations} file operations, ${recoveries} recoveries`);
});

test("B1 B2 V2: a commit that is cut at any of its bytes is not there at all (G-COMMIT-1)", async () => {
  const host = simHost({ seed: 1 });
  const store = await open(host);
  await store.set(bytes("own--1"), bytes("old"), { kind: "never" });
  const path = `/store/segments/${store.segments()[0]?.file}`;
  const from = fileOf(imageOf(host.files), path).length;
  await ask(store, 0, "sync");
  const to = fileOf(imageOf(host.files), path).length;
  assert.ok(to - from > 150);
  for (let cut = from; cut < to; cut += 1) {
    const files = host.files.fork();
    const file = await files.open(path, "write");
    await file.truncate(cut);
    await file.close();
    const next = await open(simHost({ seed: 2, files }));
    const keys = ["n", "m", "own-0"].map((key) => next.exists(bytes(key)));
    assert.deepEqual(keys, [undefined, undefined, undefined], `cut at ${cut}`);
    assert.equal(text((await next.get(bytes("own--1")))?.value ?? bytes("")), "old");
    const repeat = await ask(next, 0, "sync");
    assert.equal(repeat.repeated, false);
    await next.close();
  }
});
