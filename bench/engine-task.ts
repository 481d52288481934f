/** The tasks that one contender runs in its process, and the messages that carry them. */
import type { Contender, Doing, LoadDurability } from "./engine-contender.js";
import { type Records, valueBytes } from "./engine-records.js";

/** What a contender is told to do. Only the work itself is timed. */
export type Task =
  | { readonly kind: "load"; readonly durability: LoadDurability }
  | { readonly kind: "settle" }
  | { readonly kind: "put"; readonly milliseconds: number; readonly inFlight: number }
  | { readonly kind: "get"; readonly milliseconds: number }
  | { readonly kind: "close" };

/** How much was done in what time. */
export interface Lap {
  readonly operations: number;
  readonly milliseconds: number;
}

/** What the process of a contender answers to a task. */
export type Reply =
  | { readonly kind: "lap"; readonly lap: Lap; readonly manner: string }
  | { readonly kind: "failed"; readonly message: string };

/** What a task shows a store doing; nothing of its own: as a reader. */
export function doingOf(task: Task): Doing {
  if (task.kind === "load") return `load ${task.durability}`;
  return task.kind === "put" ? "put" : "get";
}

/** How many operations go by between two looks at the clock. */
const clockStride = 64;

/** Runs one task to its end. */
export async function runTask(store: Contender, records: Records, task: Task): Promise<Lap> {
  switch (task.kind) {
    case "load":
      return timed(async () => {
        await store.load(task.durability);
        return records.count;
      });
    case "put":
      return timed(() => putFor(store, records, task.milliseconds, task.inFlight));
    case "get": {
      const order = records.shuffled();
      await verifySample(store, records, order);
      return timed(() => getFor(store, order, task.milliseconds));
    }
    case "settle":
    case "close":
      return timed(async () => {
        await store[task.kind]();
        return 1;
      });
  }
}

async function timed(work: () => Promise<number>): Promise<Lap> {
  const startMs = performance.now();
  const operations = await work();
  return { operations, milliseconds: performance.now() - startMs };
}

async function putFor(
  store: Contender,
  records: Records,
  milliseconds: number,
  inFlight: number,
): Promise<number> {
  const endMs = performance.now() + milliseconds;
  let started = 0;
  let finished = 0;
  const writer = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const written = store.put(started++ % records.count);
      if (written !== undefined) await written;
      finished++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, writer));
  return finished;
}

async function getFor(store: Contender, order: Uint32Array, milliseconds: number): Promise<number> {
  const endMs = performance.now() + milliseconds;
  let done = 0;
  while (performance.now() < endMs) {
    for (let stride = 0; stride < clockStride; stride++, done++) {
      const found = store.get(order[done % order.length] ?? 0);
      const value = found instanceof Promise ? await found : found;
      if (value?.byteLength !== valueBytes) throw new Error("a record was not found whole");
    }
  }
  return done;
}

/** A store that answers fast and wrong must not win. */
async function verifySample(store: Contender, records: Records, order: Uint32Array): Promise<void> {
  for (const index of order.subarray(0, 1000)) {
    const value = await store.get(index);
    if (value === undefined || records.value(index).compare(value) !== 0) {
      throw new Error("a record was not read as it was written");
    }
  }
}
