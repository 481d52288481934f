/** What a model test may do to a store, drawn by fast-check: small, so that keys and times meet. */
import fc from "fast-check";
import type { Durability } from "../../src/engine/store.js";
import { type CrashPolicy, crashPolicies } from "./sim-survival.js";

/** The keys of a run. */
export const modelKeys = ["a", "b", "c", "d", "e", "f"] as const;

/** When a record expires: relative to now where it is a number of milliseconds. */
export type StepExpiry =
  | { readonly kind: "never" }
  | { readonly kind: "keep" }
  | { readonly kind: "ttl"; readonly ms: number }
  | { readonly kind: "at"; readonly ms: number };

/** "current": the version the key's record has, as far as is known; "stale": one it has not. */
export type StepCondition = "none" | "absent" | "present" | "current" | "stale";

/** A set, a delete, or a touch; one that would keep its expiry persists instead. */
export interface WriteStep {
  readonly kind: "set" | "delete" | "touch";
  readonly key: string;
  readonly valueBytes: number;
  readonly expiry: StepExpiry;
  readonly condition: StepCondition;
  readonly durability: Durability;
  readonly returnPrevious: boolean;
}

/** One member of a batch; the runner takes the first of each key. */
export interface BatchStep {
  readonly kind: "batch";
  readonly members: readonly {
    readonly key: string;
    readonly isDelete: boolean;
    readonly valueBytes: number;
    readonly expiry: StepExpiry;
  }[];
  readonly durability: Durability;
}

/** A list, page by page; each page beside a write that it may or may not show. */
export interface ListStep {
  readonly kind: "list";
  readonly from: string;
  readonly to: string;
  readonly reverse: boolean;
  readonly keysOnly: boolean;
  readonly pageSize: number;
  readonly write: WriteStep;
}

/** One step of a run. */
export type ModelStep =
  | { readonly kind: "group"; readonly writes: readonly (WriteStep | BatchStep)[] }
  | { readonly kind: "advance" | "stepWall"; readonly ms: number }
  | { readonly kind: "flush" | "reopen" | "kill" }
  | ListStep
  | { readonly kind: "powerCut"; readonly policy: CrashPolicy; readonly seed: number };

const key = fc.constantFrom(...modelKeys);
const valueBytes = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 120 }) },
  { weight: 1, arbitrary: fc.integer({ min: 300, max: 1500 }) },
);
const durability = fc.constantFrom<Durability>("sync", "buffered");
const expiry: fc.Arbitrary<StepExpiry> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<StepExpiry>({ kind: "never" }, { kind: "keep" }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("ttl" as const),
      ms: fc.integer({ min: 1, max: 3000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("at" as const),
      ms: fc.integer({ min: -2000, max: 3000 }),
    }),
  },
);

const write: fc.Arbitrary<WriteStep> = fc.record({
  kind: fc.constantFrom("set", "set", "set", "delete", "touch", "touch"),
  key,
  valueBytes,
  expiry,
  condition: fc.constantFrom<StepCondition>(
    ...(["none", "none", "none", "absent", "present", "current", "stale"] as const),
  ),
  durability,
  returnPrevious: fc.boolean(),
});

const batch: fc.Arbitrary<BatchStep> = fc.record({
  kind: fc.constant("batch" as const),
  members: fc.array(fc.record({ key, isDelete: fc.boolean(), valueBytes, expiry }), {
    minLength: 1,
    maxLength: 5,
  }),
  durability,
});

const group = fc.record({
  kind: fc.constant("group" as const),
  writes: fc.oneof(
    fc.tuple(write),
    fc.tuple(batch),
    fc.array(fc.oneof({ weight: 4, arbitrary: write }, { weight: 1, arbitrary: batch }), {
      minLength: 2,
      maxLength: 8,
    }),
  ),
});

/** The steps of a run. */
export const modelSteps: fc.Arbitrary<ModelStep[]> = fc.array(
  fc.oneof(
    { weight: 24, arbitrary: group },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("advance" as const),
        ms: fc.integer({ min: 0, max: 2500 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("stepWall" as const),
        ms: fc.oneof(
          fc.integer({ min: -3000, max: 3000 }),
          fc.constantFrom(-90_000, 90_000, 40 * 86_400_000),
        ),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("list" as const),
        from: fc.oneof(fc.constant(""), key),
        to: fc.oneof(fc.constant(""), key),
        reverse: fc.boolean(),
        keysOnly: fc.boolean(),
        pageSize: fc.integer({ min: 1, max: 4 }),
        write,
      }),
    },
    { weight: 1, arbitrary: fc.constantFrom<ModelStep>({ kind: "flush" }) },
    {
      weight: 3,
      arbitrary: fc.constantFrom<ModelStep>({ kind: "reopen" }, { kind: "kill" }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("powerCut" as const),
        policy: fc.constantFrom(...crashPolicies),
        seed: fc.nat(1_000_000),
      }),
    },
  ),
  { minLength: 1, maxLength: 40 },
);
