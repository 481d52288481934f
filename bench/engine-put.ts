/** Durable puts: 128 in flight, each acknowledged only when it survives power loss. */
import type { BenchResult } from "./bench-result.js";
import { compare, sizes } from "./engine-rounds.js";

/** How many puts wait for their acknowledgement at any time. */
const inFlight = 128;

/** Durable puts per second, against the best of the others. */
export async function run(): Promise<BenchResult> {
  const result = await compare({
    name: "engine-put",
    unit: "puts/s",
    prepare: [],
    task: { kind: "put", milliseconds: sizes.lapMs, inFlight },
    startsEmpty: false,
  });
  return { ...result, detail: { ...result.detail, inFlight } };
}
