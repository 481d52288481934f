/**
 * A life of a store as a list of steps that a seed draws: what is done in which
 * order, with which sizes and options. The same plan can be lived as often as it is
 * crashed.
 *
 *     calls      made at once, and waited for together
 *     compact    a compaction to its end, calls beside it
 *     pass       time; nothing is under way meanwhile
 *     reopen     a clean close, and an opening
 *     fill       so many bytes of the disk are free from now on
 *     free       time and compactions until a write is taken again
 */
import type { StoreOptionsInput } from "../../../src/engine/options.js";
import type { Durability } from "../../../src/engine/store.js";
import { type BatchStep, type SetPair, tinyStore } from "../../support/crash-run.js";
import { SimRandom } from "../../support/sim-random.js";

/** One call of a life. Of a touch `ttlMs` 0 is for ever, and -1 the past. */
export type Call =
  | {
      readonly kind: "set";
      readonly key: string;
      readonly value: string;
      /** 0: for ever. */
      readonly ttlMs: number;
      readonly durability: Durability;
    }
  | {
      readonly kind: "touch";
      readonly key: string;
      readonly ttlMs: number;
      readonly durability: Durability;
    }
  | { readonly kind: "delete"; readonly key: string; readonly durability: Durability }
  /** `end`: how it ends when all of it, or else half of it, has come. */
  | {
      readonly kind: "upload";
      readonly key: string;
      readonly value: string;
      /** 0: for ever. */
      readonly ttlMs: number;
      readonly durability: Durability;
      readonly end: "finish" | "abort" | "mismatch";
    }
  | {
      readonly kind: "batch";
      readonly steps: readonly BatchStep[];
      readonly durability: Durability;
    }
  /** Sets that are asked for as one run. */
  | {
      readonly kind: "sets";
      readonly pairs: readonly SetPair[];
      readonly durability: Durability;
    };

/** One step. */
export type LifeStep =
  | { readonly kind: "calls"; readonly calls: readonly Call[] }
  | { readonly kind: "compact"; readonly beside: readonly Call[] }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "reopen" }
  | { readonly kind: "fill"; readonly freeBytes: number }
  | { readonly kind: "free" };

/** Lives by what they are mostly of. */
export const lifeNames = [
  "writes",
  "compactions",
  "checkpoints",
  "full disk",
  "anything",
  "uploads",
] as const;

export type LifeName = (typeof lifeNames)[number];

/** A life before it is lived. */
export interface LifePlan {
  readonly name: LifeName;
  readonly seed: number;
  readonly options: StoreOptionsInput;
  /** Whether everything is worth a checkpoint. */
  readonly hasCheckpoints: boolean;
  /** Whether the policy chooses the victims of compactions, or chance. */
  readonly hasPolicy: boolean;
  /** Whether file operations and later turns come in a random order. */
  readonly isShuffled: boolean;
  readonly steps: readonly LifeStep[];
}

type Chapter = "groups" | "expiry" | "turnover" | "compact" | "beside" | "reopen" | "uploads";

const chaptersOf: Readonly<Record<LifeName, readonly Chapter[]>> = {
  writes: ["groups", "expiry", "reopen", "groups"],
  compactions: ["turnover", "expiry", "compact", "beside", "reopen", "compact"],
  checkpoints: ["groups", "reopen", "expiry", "reopen", "turnover", "reopen"],
  // The disk fills before them.
  "full disk": ["reopen", "groups"],
  anything: [],
  uploads: ["uploads", "reopen", "uploads", "compact", "uploads"],
};

const chapters: readonly Chapter[] = [
  "groups",
  "expiry",
  "turnover",
  "compact",
  "beside",
  "reopen",
  "uploads",
];

/** The life of a seed; seeds in a row go through the names. */
export function drawLife(seed: number): LifePlan {
  return new LifeDrawer(seed).draw();
}

/** Draws one life. */
class LifeDrawer {
  readonly #seed: number;
  readonly #random: SimRandom;
  readonly #name: LifeName;
  readonly #segmentBytesMax: number;
  readonly #reserveBytes: number;
  readonly #sizes: readonly number[];
  readonly #keys: readonly string[];
  #value = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new SimRandom(seed);
    this.#name = lifeNames[seed % lifeNames.length] as LifeName;
    const isFull = this.#name === "full disk";
    this.#segmentBytesMax = this.#random.pick(isFull ? [3_000, 6_000] : [300, 600, 600, 1_500]);
    this.#reserveBytes = isFull ? this.#random.pick([0, 1_000, 4_000]) : 0;
    // Of the first kind some have a segment of their own, and the largest is read off the event loop.
    const isLarge = this.#name === "writes" && this.#random.chance(0.2);
    this.#sizes = isFull ? [400, 900] : isLarge ? [10, 90, 70_000] : [1, 20, 90, 90, 350];
    this.#keys = isFull ? [..."abcdefghij"] : [..."abcdef"];
  }

  draw(): LifePlan {
    const random = this.#random;
    const isFull = this.#name === "full disk";
    const plan = {
      name: this.#name,
      seed: this.#seed,
      options: {
        ...tinyStore,
        segmentBytesMax: this.#segmentBytesMax,
        diskReserveBytes: this.#reserveBytes,
        cacheBytesMax: random.pick([0, 1_048_576]),
        openFilesMax: random.pick([1, 3, 512]),
        // At times so little that most calls stand in line.
        inFlightBytesMax: random.pick([1, 64 * 1024 * 1024, 64 * 1024 * 1024]),
      },
      hasCheckpoints: this.#name === "checkpoints" || random.chance(0.5),
      hasPolicy: isFull || random.chance(0.6),
      isShuffled: random.chance(0.6),
    };
    const steps = isFull ? [...this.#firstWrites(), ...this.#fullDisk()] : this.#firstWrites();
    for (const chapter of this.#chapters()) steps.push(...this.#write(chapter));
    return { ...plan, steps };
  }

  /** Those of the name, now and then another in between. */
  #chapters(): Chapter[] {
    const random = this.#random;
    const fixed = chaptersOf[this.#name];
    if (fixed.length === 0) return Array.from({ length: 5 }, () => random.pick(chapters));
    return fixed.flatMap((chapter) =>
      random.chance(0.15) ? [random.pick(chapters), chapter] : [chapter],
    );
  }

  #write(chapter: Chapter): LifeStep[] {
    const random = this.#random;
    switch (chapter) {
      case "groups":
        return [this.#group(), this.#group(), ...this.#somePass()];
      case "expiry":
        return this.#expiry();
      case "turnover":
        return [this.#overwrites(), this.#overwrites()];
      case "compact":
        return [{ kind: "compact", beside: [] }];
      case "beside":
        return [{ kind: "compact", beside: this.#calls(2 + random.below(4)) }];
      case "reopen":
        return [{ kind: "reopen" }];
      case "uploads":
        return [this.#uploads(), ...this.#somePass(), this.#uploads()];
    }
  }

  /** Uploads among other calls, some of which are never finished. */
  #uploads(): LifeStep {
    const random = this.#random;
    const uploads = Array.from({ length: 1 + random.below(2) }, (): Call => {
      return {
        kind: "upload",
        key: random.pick(this.#keys),
        value: this.#nextValue(),
        ttlMs: random.pick([0, 0, 3_600_000]),
        durability: this.#durability(),
        end: random.pick(["finish", "finish", "finish", "abort", "mismatch"]),
      };
    });
    return { kind: "calls", calls: [...uploads, ...this.#calls(random.below(3))] };
  }

  #firstWrites(): LifeStep[] {
    const calls = this.#keys.map((key) => this.#set(key));
    return [
      { kind: "calls", calls: calls.slice(0, 3) },
      { kind: "calls", calls: calls.slice(3) },
    ];
  }

  #group(): LifeStep {
    return { kind: "calls", calls: this.#calls(1 + this.#random.below(5)) };
  }

  #calls(count: number): Call[] {
    return Array.from({ length: count }, () => this.#call());
  }

  #call(): Call {
    const random = this.#random;
    const key = random.pick(this.#keys);
    const durability = this.#durability();
    switch (random.below(9)) {
      case 0:
      case 1:
        return { kind: "delete", key, durability };
      case 2:
        return { kind: "batch", steps: this.#batch(), durability };
      case 3:
      case 4:
        return { kind: "touch", key, ttlMs: random.pick([0, -1, 400, 3_600_000]), durability };
      case 5:
        return { kind: "sets", pairs: this.#pairs(), durability };
      default:
        return this.#set(key, random.pick([0, 0, 300, 3_600_000]));
    }
  }

  #set(key: string, ttlMs = 0): Call {
    return { kind: "set", key, value: this.#nextValue(), ttlMs, durability: this.#durability() };
  }

  /** For a run of sets; a key may come again. */
  #pairs(): SetPair[] {
    const count = 1 + this.#random.below(4);
    return Array.from({ length: count }, () => [this.#random.pick(this.#keys), this.#nextValue()]);
  }

  #batch(): BatchStep[] {
    const chosen = this.#keys.filter(() => this.#random.chance(0.4));
    const named = chosen.length === 0 ? [this.#random.pick(this.#keys)] : chosen;
    return named.map((key) => {
      const value = this.#random.chance(0.3) ? undefined : this.#nextValue();
      return { key, value };
    });
  }

  #durability(): Durability {
    return this.#random.chance(0.3) ? "buffered" : "sync";
  }

  /** Every value of a life is another. */
  #nextValue(): string {
    this.#value += 1;
    return `${this.#value}.`.padEnd(this.#random.pick(this.#sizes), "x");
  }

  #somePass(): LifeStep[] {
    return this.#random.chance(0.4)
      ? [{ kind: "pass", ms: this.#random.pick([50, 120, 500]) }]
      : [];
  }

  /** Records that expire, and are swept, touched or written over around that time. */
  #expiry(): LifeStep[] {
    const random = this.#random;
    const [one, other] = [random.pick(this.#keys), random.pick(this.#keys)];
    const durability = this.#durability();
    const after: Call[] = [
      random.chance(0.5)
        ? { kind: "touch", key: one, ttlMs: 0, durability }
        : { kind: "delete", key: one, durability },
      this.#set(other),
    ];
    return [
      { kind: "calls", calls: [this.#set(one, 400), this.#set(other, 300)] },
      { kind: "calls", calls: [{ kind: "touch", key: other, ttlMs: 450, durability }] },
      { kind: "pass", ms: random.pick([350, 700]) },
      { kind: "calls", calls: after },
    ];
  }

  /** Most keys anew, or gone: work for a compaction. */
  #overwrites(): LifeStep {
    const calls = this.#keys
      .filter(() => this.#random.chance(0.6))
      .map((key): Call => {
        if (this.#random.chance(0.7)) return this.#set(key);
        return { kind: "delete", key, durability: this.#durability() };
      });
    return { kind: "calls", calls: calls.length === 0 ? [this.#call()] : calls };
  }

  /** It fills up, refuses writes, takes deletes, and has room again without a restart. */
  #fullDisk(): LifeStep[] {
    const random = this.#random;
    const deletes = this.#keys
      .filter(() => random.chance(0.8))
      .map((key): Call => ({ kind: "delete", key, durability: this.#durability() }));
    // Without a reserve a delete needs room of its own, and so does a manifest.
    const least = this.#reserveBytes === 0 ? 6_000 : 0;
    const looks: LifeStep[] = random.chance(0.5) ? [{ kind: "pass", ms: 300 }] : [];
    return [
      this.#overwrites(),
      { kind: "fill", freeBytes: least + random.below(4_000) },
      ...looks,
      this.#overwrites(),
      this.#group(),
      { kind: "calls", calls: deletes.slice(0, 3) },
      { kind: "calls", calls: deletes.slice(3) },
      { kind: "compact", beside: random.chance(0.5) ? this.#calls(2) : [] },
      { kind: "free" },
    ];
  }
}
