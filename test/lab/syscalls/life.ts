/**
 * What the traced program does with its store: steps, as plain data, so that the
 * program and whoever reads its trace mean the same.
 *
 * The named lives are short and have every kind of change. A seed gives a life of its
 * own: the same kinds, in any order.
 */
import { SimRandom } from "../../support/sim-random.js";

/** One change of a batch; value undefined: delete. */
export interface BatchStep {
  readonly key: string;
  readonly value?: string | undefined;
}

/** One write. `ttlMs`: from the clock of the program; left out: never. */
export type WriteStep = (
  | { readonly kind: "set"; readonly key: string; readonly value: string; readonly ttlMs?: number }
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "touch"; readonly key: string; readonly ttlMs?: number }
  | { readonly kind: "batch"; readonly steps: readonly BatchStep[] }
) & { readonly isBuffered?: boolean };

/** One thing that the program does, and waits for. */
export type LifeStep =
  | { readonly do: "open" | "close" | "sync" | "tell" }
  /** Writes that are asked for at once, in this order; beside a compaction, if so. */
  | { readonly do: "write"; readonly writes: readonly WriteStep[]; readonly isCompacting?: boolean }
  | { readonly do: "compact" }
  /** The wall clock goes on, and sweep and flush have time. */
  | { readonly do: "pass"; readonly ms: number };

/** A life, and the store that lives it. */
export interface Life {
  readonly segmentBytesMax: number;
  /** Whether it keeps a reserve of disk space: a file of 1 MiB. */
  readonly hasReserve?: boolean;
  /** Whether it leaves a checkpoint, of half a MiB, when it is closed. */
  readonly hasCheckpoint?: boolean;
  readonly steps: readonly LifeStep[];
}

const long = "x".repeat(90);
const hourMs = 3_600_000;

const set = (key: string, value: string, ttlMs?: number): WriteStep =>
  ttlMs === undefined ? { kind: "set", key, value } : { kind: "set", key, value, ttlMs };
const buffered = (step: WriteStep): WriteStep => ({ ...step, isBuffered: true });
const drop = (key: string): WriteStep => ({ kind: "delete", key });
const touch = (key: string, ttlMs?: number): WriteStep =>
  ttlMs === undefined ? { kind: "touch", key } : { kind: "touch", key, ttlMs };
const write = (...writes: WriteStep[]): LifeStep => ({ do: "write", writes });

/**
 * The lives in which every call is met, each over what another has left. Together they
 * have every kind of change.
 */
export const lives = {
  /** Of a new store: groups, rollover, batches, lifetimes and the sweep, a value larger than a segment. */
  fresh: {
    segmentBytesMax: 700,
    hasCheckpoint: true,
    steps: [
      { do: "open" },
      write(set("a", "1")),
      write(set("b", "1"), set("c", "1"), drop("a"), set("b", "2")),
      write({
        kind: "batch",
        steps: [{ key: "d", value: "1" }, { key: "e", value: long }, { key: "c" }],
      }),
      write(buffered(set("a", long)), set("f", "1"), buffered(set("g", "1"))),
      write(set("t", "short", 500)),
      write(set("h", long), set("i", long)),
      write(set("h", "2"), touch("h", hourMs), buffered(touch("i", 400))),
      write(set("big", "y".repeat(800))),
      write(buffered(set("u", "1"))),
      { do: "pass", ms: 700 },
      write(drop("big"), set("t", "again", hourMs)),
      { do: "tell" },
      { do: "close" },
    ],
  },
  /** Over what the first left: from its checkpoint; compacted beside writes, closed, opened again. */
  later: {
    segmentBytesMax: 700,
    steps: [
      { do: "open" },
      write(set("a", "3"), set("k", long), set("l", long)),
      write({
        kind: "batch",
        steps: [{ key: "a", value: "4" }, { key: "b" }, { key: "m", value: "1" }],
      }),
      {
        do: "write",
        isCompacting: true,
        writes: [buffered(set("a", "5")), set("k", long), drop("l"), drop("h")],
      },
      write(buffered(set("v", "1")), touch("k", 2 * hourMs)),
      { do: "sync" },
      write(buffered(set("w", "1"))),
      { do: "tell" },
      { do: "close" },
      { do: "open" },
      write(drop("d"), set("a", "6")),
      { do: "tell" },
    ],
  },
  /** Over what the first left: ends without a close, in a segment that is not its first. */
  unclosed: {
    segmentBytesMax: 700,
    steps: [
      { do: "open" },
      write(set("a", "3"), set("k", long)),
      write(set("l", long), drop("b")),
      write(set("n", "1"), buffered(set("o", long))),
      write(buffered(set("p", "1"))),
    ],
  },
  /** Of a new store with a reserve of disk space, which a full disk gives back. */
  full: {
    segmentBytesMax: 700,
    hasReserve: true,
    steps: [
      { do: "open" },
      write(set("a", "1"), set("b", long)),
      write(buffered(set("c", "1")), drop("a")),
      write(set("d", long)),
      { do: "tell" },
      { do: "close" },
    ],
  },
  /** Over what that left, with a torn end: recovered, and the hint of its last segment written. */
  mend: {
    segmentBytesMax: 700,
    steps: [
      { do: "open" },
      write(set("a", "7"), buffered(set("q", "1"))),
      write(set("r", long), set("s", long), drop("n")),
      { do: "tell" },
      { do: "close" },
    ],
  },
} as const satisfies Readonly<Record<string, Life>>;

/** A life by its name. */
export type LifeName = keyof typeof lives;

/** The life of that name, or of that seed. */
export function lifeNamed(name: string): Life {
  return name in lives ? lives[name as LifeName] : lifeOf(Number(name));
}

/** What the wall clock goes on by in a life, in ms. */
export function passedMs({ steps }: Life): number {
  return steps.reduce((sum, step) => sum + (step.do === "pass" ? step.ms : 0), 0);
}

/** The life of a seed. */
function lifeOf(seed: number): Life {
  const random = new SimRandom(seed);
  const steps: LifeStep[] = [{ do: "open" }];
  const turns = 12 + random.below(14);
  for (let turn = 0; turn < turns; turn += 1) steps.push(...someStep(random));
  if (random.chance(0.5)) steps.push({ do: "tell" }, { do: "close" });
  return {
    segmentBytesMax: random.pick([300, 600, 1200, 20_000]),
    steps,
  };
}

function someStep(random: SimRandom): LifeStep[] {
  const choice = random.below(20);
  if (choice < 12) return [{ do: "write", writes: someWrites(random) }];
  if (choice < 14) return [{ do: "compact" }];
  if (choice < 15) return [{ do: "write", writes: someWrites(random), isCompacting: true }];
  if (choice < 16) return [{ do: "pass", ms: random.pick([50, 400, 1000]) }];
  if (choice < 17) return [{ do: "sync" }];
  return [{ do: "tell" }, { do: "close" }, { do: "open" }];
}

function someWrites(random: SimRandom): WriteStep[] {
  return Array.from({ length: random.pick([1, 1, 2, 3, 6]) }, () => {
    const step = someWrite(random);
    return random.chance(0.25) ? buffered(step) : step;
  });
}

function someWrite(random: SimRandom): WriteStep {
  const key = someKey(random);
  const choice = random.below(10);
  if (choice < 5)
    return set(key, someValue(random), random.pick([undefined, undefined, 300, hourMs]));
  if (choice < 7) return drop(key);
  if (choice < 8) return touch(key, random.pick([undefined, 300, hourMs]));
  const keys = new Set(Array.from({ length: 1 + random.below(4) }, () => someKey(random)));
  const steps = [...keys].map((each) =>
    random.chance(0.7) ? { key: each, value: someValue(random) } : { key: each },
  );
  return { kind: "batch", steps };
}

function someKey(random: SimRandom): string {
  return random.pick(["a", "b", "c", "d", "e", "f", "g"]);
}

/** Some span a sector, some a page. */
function someValue(random: SimRandom): string {
  const length = random.pick([0, 1, 30, 90, 90, 600, 1500, 5000]);
  return random.pick(["x", "y", "z"]).repeat(length);
}
