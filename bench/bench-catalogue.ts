/** Every bench: its name, what it measures, the goal it is held to, and its program. */
import type { BenchResult } from "./bench-result.js";

/** What the ratio of a bench should be. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** One bench. */
export interface Bench {
  readonly name: string;
  readonly sentence: string;
  readonly goal: Goal;
  /** Loaded on demand: a bench takes its sizes from the environment when it is loaded. */
  readonly run: () => Promise<BenchResult>;
}

/** Every bench, in the order of the page. */
export const benches: readonly Bench[] = [
  {
    name: "engine-put",
    sentence: "Durable puts per second with 128 in flight, against the best of the other stores.",
    goal: { atLeast: 2 },
    run: async () => (await import("./engine-put.js")).run(),
  },
  {
    name: "engine-get",
    sentence: "Random gets per second, against the best of the other stores.",
    goal: { atLeast: 1 },
    run: async () => (await import("./engine-get.js")).run(),
  },
  {
    name: "engine-load",
    sentence:
      "Records per second loaded in batches of 1,000, each durable when it is acknowledged, against the best of the other stores.",
    goal: { atLeast: 2 },
    run: async () => (await import("./engine-load.js")).run("engine-load", "each"),
  },
  {
    name: "engine-load-once",
    sentence:
      "Records per second loaded with nothing promised before the end, each store in its fastest manner, against the best of the other stores.",
    goal: { atLeast: 1 },
    run: async () => (await import("./engine-load.js")).run("engine-load-once", "end"),
  },
  {
    name: "watch-writers",
    sentence:
      "Durable puts per second with 128 in flight while 1,000 watch other keys, against the same without watchers.",
    goal: { atLeast: 0.8 },
    run: async () => (await import("./watch-writers.js")).run(),
  },
  {
    name: "index-memory",
    sentence:
      "Bytes of index a key beyond the key itself, averaged over a doubling, order included.",
    goal: { atMost: 44 },
    run: async () => (await import("./index-memory.js")).run(),
  },
  {
    name: "index-stall",
    sentence: "The longest step of the index while it grows.",
    goal: { atMost: 10 },
    run: async () => (await import("./index-stall.js")).run(),
  },
  {
    name: "index-get",
    sentence: "One look-up of a random key in the index, the key compared.",
    goal: { atMost: 1.2 },
    run: async () => (await import("./index-get.js")).run(),
  },
  {
    name: "compaction-zipfian",
    sentence:
      "Bytes written for each byte that users append, at a space amplification of at most 1.5: keys chosen zipfian, values of 1 KiB, simulated.",
    goal: { atMost: 1.75 },
    run: async () => (await import("./compaction-amplification.js")).run("compaction-zipfian"),
  },
  {
    name: "compaction-uniform",
    sentence:
      "Bytes written for each byte that users append, at a space amplification of at most 1.6: keys chosen uniformly, values of 1 KiB, simulated.",
    goal: { atMost: 1.7 },
    run: async () => (await import("./compaction-amplification.js")).run("compaction-uniform"),
  },
  {
    name: "compaction-real",
    sentence:
      "Bytes written for each byte that users append, at a space amplification of at most 1.5: keys chosen zipfian, values of 1 KiB, measured in a store that compacts by itself.",
    goal: { atMost: 1.75 },
    run: async () => (await import("./compaction-real.js")).run(),
  },
  {
    name: "compaction-disk",
    sentence:
      "Disk that a compaction takes more at its worst moment, in segments: at most the live bytes of the victims of a step, which fit one, and one more.",
    goal: { atMost: 2 },
    run: async () => (await import("./compaction-space.js")).runDisk(),
  },
  {
    name: "compaction-empty",
    sentence:
      "What is left on the disk and in the index, as a share of what was there, when every key was deleted and the store compacted.",
    goal: { atMost: 0.01 },
    run: async () => (await import("./compaction-space.js")).runEmpty(),
  },
  {
    name: "compaction-latency",
    sentence:
      "The p99 of Get and Set over gRPC while a compaction runs, by that of an idle server: the worse of the two, at 30 % of the peak load, from the intended start of each call.",
    goal: { atMost: 2 },
    run: async () => (await import("./compaction-latency.js")).run(),
  },
  {
    name: "compaction-long",
    sentence:
      "A compaction of a store of 20 million keys, every hundredth of which is read after it.",
    goal: { atLeast: 10 },
    run: async () => (await import("./compaction-long.js")).run(),
  },
  {
    name: "open-hints",
    sentence:
      "Keys per second of an opening from hints, on one core where processes can be held to one, in million; the files are in the page cache.",
    goal: { atLeast: 1 },
    run: async () => (await import("./open-hints.js")).run(),
  },
  {
    name: "open-checkpoint",
    sentence:
      "Keys per second of an opening from the checkpoint of a clean close, in million; the files are in the page cache.",
    goal: { atLeast: 5 },
    run: async () => (await import("./open-checkpoint.js")).run(),
  },
  {
    name: "upload-rtt",
    sentence:
      "One Upload of 64 MiB over a round trip of 20 ms, from its first byte to the durable answer; the window that HTTP/2 has by default allows 3 MiB/s.",
    goal: { atLeast: 40 },
    run: async () => (await import("./upload-rtt.js")).run(),
  },
  {
    name: "upload-memory",
    sentence:
      "The most memory that a server has resident while 100 values of 100 MiB are uploaded at once.",
    goal: { atMost: 512 },
    run: async () => (await import("./upload-memory.js")).run(),
  },
  {
    name: "upload-latency",
    sentence:
      "The p99 of durable Sets over gRPC, 100 a second from the intended start of each, in 10 s in which a value of 100 MiB is uploaded beside them.",
    goal: { atMost: 1000 },
    run: async () => (await import("./upload-latency.js")).run(),
  },
  {
    name: "pipeline",
    sentence:
      "Durable writes of single keys per second on 4 connections with 1,000 in flight on each, by Pipeline, against Redis pipelined with appendfsync always.",
    goal: { atLeast: 1 },
    run: async () => (await import("./pipeline.js")).run("pipeline", "redis"),
  },
  {
    name: "pipeline-etcd",
    sentence:
      "Durable writes of single keys per second on 4 connections with 1,000 in flight on each, by Pipeline, against etcd in transactions of 100 puts.",
    goal: { atLeast: 5 },
    run: async () => (await import("./pipeline.js")).run("pipeline-etcd", "etcd"),
  },
  {
    name: "client-batch",
    sentence:
      "128 concurrent gets through the TypeScript client with automatic batching, against the same client without.",
    goal: { atLeast: 4 },
    run: async () => (await import("./client-batch.js")).run(),
  },
  {
    name: "scan",
    sentence:
      "Keys per second of an ordered scan of a prefix over gRPC, at one point in time, against etcd's Range in pages.",
    goal: { atLeast: 5 },
    run: async () => (await import("./scan.js")).run(),
  },
];

/** Whether a ratio reaches the goal. */
export function meetsGoal(ratio: number, goal: Goal): boolean {
  return "atLeast" in goal ? ratio >= goal.atLeast : ratio <= goal.atMost;
}

/** A goal in words. */
export function goalText(goal: Goal): string {
  return "atLeast" in goal ? `at least ${goal.atLeast}` : `at most ${goal.atMost}`;
}
