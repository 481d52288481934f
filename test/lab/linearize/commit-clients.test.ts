/** Clients of several keys at once see a store that makes a request once more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RpcClient } from "../../../src/rpc/client.js";
import { SimRandom } from "../../support/sim-random.js";
import { CommitClients } from "./commit-clients.js";

const callsMax = 3000;

interface Asked {
  readonly conditions?: readonly unknown[];
  readonly mutations?: readonly unknown[];
  readonly requestId: Uint8Array;
}

interface Answered {
  readonly applied: boolean;
  readonly results: readonly { version: bigint; value: bigint }[];
  readonly unmet: readonly unknown[];
  readonly repeated: boolean;
}

/** A store that applies whatever it is asked for, and remembers the last `requestsMax` requests. */
class Applier {
  calls = 0;
  readonly #known = new Map<string, Answered>();
  readonly #requestsMax: number;
  #version = 0n;

  constructor(requestsMax: number) {
    this.#requestsMax = requestsMax;
  }

  call(_: unknown, { conditions = [], mutations, requestId }: Asked): Promise<unknown> {
    this.calls += 1;
    const id = Buffer.from(requestId).toString();
    const first = this.#known.get(id);
    if (first !== undefined) return this.#answer({ ...first, repeated: true }, mutations);
    const count = mutations?.length ?? 1;
    const unmet = count > 0 ? [] : conditions.map((_, index) => ({ index, current: undefined }));
    const results = Array.from({ length: count }, () => {
      this.#version += 1n;
      return { version: this.#version, value: 0n };
    });
    const answer = { applied: count > 0, results, unmet, repeated: false };
    if (count > 0) this.#known.set(id, answer);
    for (const [oldest] of this.#known) {
      if (this.#known.size <= this.#requestsMax) break;
      this.#known.delete(oldest);
    }
    return this.#answer(answer, mutations);
  }

  close(): void {
    // Nothing is open.
  }

  /** An increment has its one result in the answer itself. */
  async #answer(answer: Answered, mutations: readonly unknown[] | undefined): Promise<unknown> {
    return mutations === undefined ? { ...answer.results[0], repeated: answer.repeated } : answer;
  }
}

/** What clients say of a store. */
async function toldOf(store: Applier, keptMs: number): Promise<CommitClients> {
  const clients = new CommitClients(new SimRandom(1), keptMs);
  const connect = () => store as unknown as RpcClient;
  await clients.work(connect, () => store.calls >= callsMax);
  return clients;
}

test("R7: a request that was answered is known when it is sent again", async () => {
  const { faults, later, isInDoubt } = await toldOf(new Applier(callsMax), 60_000);
  assert.deepEqual([...faults], []);
  assert.ok(later > 50, `${later} were sent again`);
  assert.equal(isInDoubt, false);
});

test("R7: a store that forgets requests within the time that it keeps them is found out", async () => {
  const { faults } = await toldOf(new Applier(20), 60_000);
  assert.match([...faults].join("\n"), /was made once more when it was repeated/);
});
