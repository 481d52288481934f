/** Compactions that a test begins itself, and the victims that it wants. */
import { strict as assert } from "node:assert";
import type { Choice, PolicyInput } from "../../src/engine/compaction/policy.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import type { StoreOptionsInput } from "../../src/engine/options.js";
import type { CompactionProgress } from "../../src/engine/store-stats.js";
import type { SimRandom } from "./sim-random.js";

/** Nothing is compacted but on demand, and nothing is kept for watchers. */
export const onDemand: Partial<StoreOptionsInput> = { compaction: "manual", watchRetentionMs: 0 };

/** Who has a store, whose compactions nothing holds back (unpaced.ts). */
export interface HasStore {
  readonly store: LocalStore;
}

/** Runs a compaction to its end, and answers the last that it told. */
export async function compact(
  { store }: HasStore,
  signal?: AbortSignal,
): Promise<CompactionProgress> {
  let last: CompactionProgress | undefined;
  for await (const progress of store.compact({ signal })) last = progress;
  assert.ok(last, "a compaction tells how it ended");
  return last;
}

/** The same, where only success will do. */
export async function compacted(rig: HasStore): Promise<CompactionProgress> {
  const end = await compact(rig);
  assert.ok(
    end.outcome === "completed" || end.outcome === "nothing-to-do",
    `${end.outcome}: ${end.why}`,
  );
  return end;
}

/** A policy that takes the given ids, once each list, whatever is in them. */
export function choosing(...turns: readonly (readonly number[])[]): (input: PolicyInput) => Choice {
  const left = [...turns];
  return ({ candidates }) => {
    const ids = left.shift()?.filter((id) => candidates.some((each) => each.id === id)) ?? [];
    return ids.length === 0 ? { kind: "nothing" } : { kind: "victims", ids };
  };
}

/** A policy that takes whatever may be taken: all at once, for ever new. */
export function takingAll(times = 1): (input: PolicyInput) => Choice {
  let left = times;
  return ({ candidates }) => {
    left -= 1;
    if (left < 0 || candidates.length === 0) return { kind: "nothing" };
    return { kind: "victims", ids: candidates.map(({ id }) => id) };
  };
}

/** A policy that takes some of what may be taken, and is content at random. */
export function takingSome(random: SimRandom): (input: PolicyInput) => Choice {
  return ({ candidates }) => {
    const ids = candidates.map(({ id }) => id).filter(() => random.chance(0.4));
    return ids.length === 0 || random.chance(0.3) ? { kind: "nothing" } : { kind: "victims", ids };
  };
}
