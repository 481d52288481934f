/**
 * What one run does, from its seed: how many clients, keys and connections, how the
 * server is started, and where its lives end. Counts, not times, so that a slower
 * machine does the same work.
 */
import { SimRandom } from "../../support/sim-random.js";

/** One start of the server and its end. */
export interface Life {
  /** So many operations are begun in it. */
  readonly operations: number;
  /** "kill": kill -9; "stop": SIGTERM. */
  readonly ending: "kill" | "stop";
  /** How often the server is held for a moment (SIGSTOP), and a connection is cut. */
  readonly pauses: number;
  readonly cuts: number;
}

/** A run. */
export interface Plan {
  readonly clients: number;
  readonly connections: number;
  readonly keys: number;
  /**
   * Of two keys drawn, how often the lower is taken, in 0..1: so that some are hot, and
   * others lie still for long enough to be compacted.
   */
  readonly skew: number;
  readonly lives: readonly Life[];
  /** Compactions follow one another without a pause. */
  readonly isCompacted: boolean;
  /** A proxy stands between clients and server, which delays and can be cut. */
  readonly isProxied: boolean;
  readonly serverFlags: readonly string[];
  /** The share of operations whose client gives up early, in 0..1. */
  readonly giveUpShare: number;
  /** The share of writes that are BUFFERED. */
  readonly bufferedShare: number;
  readonly valueBytesMax: number;
  /**
   * Clients of several keys at once, who repeat what is of unknown outcome under its id;
   * 0 where the log is kept for nobody, for then ids are forgotten with it.
   */
  readonly commitClients: number;
  /** How long the log is kept at least, and with it the ids: compactions take what is older. */
  readonly keptMs: number;
}

/** A restart takes less, and a run more: so ids are still known, and compactions take something. */
const shortKeptMs = 6000;
const operationsMin = 8000;
const operationsMax = 16_000;
const clientsMin = 10;
const clientsMax = 24;
/** At least so many clients to a key: each overlaps about twice its rivals. */
const clientsPerKeyMin = 2.8;
const keysMax = 8;

/** The run of a seed. */
export function planOf(seed: number): Plan {
  const random = new SimRandom(seed);
  const clients = clientsMin + random.below(clientsMax - clientsMin + 1);
  const keys = 1 + random.below(Math.min(keysMax, Math.floor(clients / clientsPerKeyMin)));
  const isProxied = random.chance(0.35);
  // Every second seed has commits beside.
  const someMs = random.pick([600_000, shortKeptMs, shortKeptMs]);
  const keptMs = seed % 2 === 0 ? someMs : 0;
  return {
    clients,
    connections: 2 + random.below(6),
    keys,
    skew: random.pick([0, 0.5, 1]),
    lives: livesOf(random, isProxied),
    isCompacted: random.chance(0.95),
    isProxied,
    serverFlags: flagsOf(random, keptMs),
    giveUpShare: 0.05 + 0.03 * random.below(3),
    bufferedShare: random.pick([0, 0.2, 0.5]),
    valueBytesMax: random.pick([32, 200, 2000]),
    commitClients: keptMs > 0 ? 3 + random.below(4) : 0,
    keptMs,
  };
}

function livesOf(random: SimRandom, isProxied: boolean): Life[] {
  const count = 2 + random.below(4);
  const operations = operationsMin + random.below(operationsMax - operationsMin);
  const ends = Array.from({ length: count - 1 }, () => random.below(operations));
  const places = [0, ...ends.sort((one, other) => one - other), operations];
  return places.slice(1).map((end, index) => ({
    operations: end - (places[index] as number),
    ending: random.chance(0.7) ? "kill" : "stop",
    pauses: random.below(3),
    cuts: isProxied ? random.below(6) : 0,
  }));
}

function flagsOf(random: SimRandom, keptMs: number): string[] {
  const flags = {
    "--segment-bytes-max": String(random.pick([4096, 8192, 32_768])),
    "--flush-interval": random.pick(["1ms", "20ms", "100ms"]),
    "--max-cache-bytes": random.pick(["0", "16MiB"]),
    "--compaction": "manual",
    // A slow one is overtaken by many writes.
    "--max-compaction-rate": random.pick(["16KiB", "64KiB", "64MiB"]),
    "--watch-retention": `${keptMs}ms`,
  };
  return ["--lift-floors", ...Object.entries(flags).flat()];
}
