/**
 * The stores that one interface stands before: a model in memory, the embedded store,
 * and a server over it, whose client batches its calls or does not.
 */
import type { TestContext } from "node:test";
import { connect } from "../../src/client/connect.js";
import type { Store } from "../../src/engine/store.js";
import { type KeyValueStore, Kvix } from "../../src/index.js";
import { startMemoryServer } from "../service/memory-server.js";
import { MemoryStore } from "../support/memory-store.js";
import { Rig } from "../support/store-rig.js";

/** A store under test. */
export interface Subject {
  readonly store: KeyValueStore;
  /** Lets time go by. */
  advance(ms: number): Promise<void>;
}

/** How a store under test is made; it ends with the test. */
export interface SubjectKind {
  readonly name: string;
  readonly open: (t: TestContext) => Promise<Subject>;
}

/** Every kind. */
export const subjectKinds: readonly SubjectKind[] = [
  {
    name: "model",
    open: async () => {
      let nowMs = Date.UTC(2030, 0, 1);
      return {
        store: new Kvix(new MemoryStore(() => nowMs)),
        advance: async (ms) => {
          nowMs += ms;
        },
      };
    },
  },
  {
    name: "embedded",
    open: async (t) => {
      const { store, advance } = await openEngine(t);
      return { store: new Kvix(store), advance };
    },
  },
  { name: "remote, batching", open: (t) => openRemote(t, true) },
  { name: "remote, call by call", open: (t) => openRemote(t, false) },
];

/** The engine on a simulated machine. */
async function openEngine(t: TestContext): Promise<{ store: Store } & Pick<Subject, "advance">> {
  const rig = await Rig.open({});
  t.after(() => rig.store.close().catch(() => undefined));
  return {
    store: rig.store,
    advance: (ms) => rig.sim.clock.advance(ms),
  };
}

/** The engine behind a real server on the loopback. */
async function openRemote(t: TestContext, batching: boolean): Promise<Subject> {
  const { store, advance } = await openEngine(t);
  const { address } = await startMemoryServer(t, { wrap: () => store });
  const client = connect({ address, batching });
  t.after(() => client.close());
  return { store: client, advance };
}
