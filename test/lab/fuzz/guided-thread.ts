/**
 * The thread in which decoders run under the eyes of V8's block coverage, and in
 * which no array may be made that is absurdly long.
 *
 *     <- {target, seed, corpus, batches, batchSize}
 *     -> {fresh: inputs that reached new blocks, finding, executions}
 *
 * Inputs run in batches. A batch that reaches something new is halved until the
 * inputs that did it are found: asking for the coverage costs a thousand
 * executions, and most batches reach nothing.
 */
import { parentPort } from "node:worker_threads";
import { BlockCoverage } from "./block-coverage.js";

/** What the thread is asked. */
export interface GuidedOrder {
  readonly target: string;
  readonly seed: number;
  readonly corpus: readonly Uint8Array[];
  readonly batches: number;
  readonly batchSize: number;
}

/** What it answers. */
export interface GuidedAnswer {
  readonly fresh: readonly Uint8Array[];
  readonly finding: string | undefined;
  readonly executions: number;
}

/** No decoder has a reason to ask for more at once: inputs are below 2 KiB, windows below 3 MiB. */
const ARRAY_BYTES_MAX = 4 * 1024 * 1024;

/** Makes every array that is asked for by its length be of a length within reason. */
function boundArrays(): void {
  const bounded = (Kind: Uint8ArrayConstructor): Uint8ArrayConstructor =>
    new Proxy(Kind, {
      construct(target, parts: unknown[], newTarget) {
        const [first] = parts;
        if (typeof first === "number" && first > ARRAY_BYTES_MAX) {
          throw new Error(`an array of ${first} bytes was asked for`);
        }
        return Reflect.construct(target, parts, newTarget);
      },
    });
  globalThis.Uint8Array = bounded(Uint8Array);
}

boundArrays();
const coverage = new BlockCoverage();
// Loaded after the coverage has begun, so that it sees blocks.
const { FuzzInputs, findingOf } = await import("./fuzz-loop.js");
const { findTarget } = await import("./targets.js");
/** Of which decoders the corpus has run here. */
const warmed = new Set<string>();

/** Runs one order. */
async function guide(order: GuidedOrder): Promise<GuidedAnswer> {
  const target = findTarget(order.target);
  if (target === undefined) throw new TypeError(`no decoder is called ${order.target}`);
  const inputs = new FuzzInputs(target, order.seed, order.corpus);
  const fresh: Uint8Array[] = [];
  let executions = 0;
  let finding: string | undefined;
  const run = async (some: readonly Uint8Array[]): Promise<boolean> => {
    for (const input of some) {
      executions += 1;
      finding ??= await findingOf(target, input);
    }
    return coverage.take();
  };
  /** Runs inputs that may reach something new; if they do, finds which. */
  const explore = async (some: readonly Uint8Array[]): Promise<void> => {
    const before = coverage.copy();
    if (!(await run(some))) return;
    if (some.length === 1) {
      fresh.push(...some);
      return;
    }
    coverage.restore(before);
    const half = some.length >> 1;
    await explore(some.slice(0, half));
    await explore(some.slice(half));
  };
  if (!warmed.has(order.target)) {
    warmed.add(order.target);
    await run(order.corpus);
  }
  for (let batch = 0; batch < order.batches && finding === undefined; batch += 1) {
    const some = Array.from({ length: order.batchSize }, () => inputs.next());
    const known = fresh.length;
    await explore(some);
    for (const input of fresh.slice(known)) inputs.add(input);
  }
  return { fresh, finding, executions };
}

parentPort?.on("message", (order: GuidedOrder) => {
  void guide(order).then(
    (answer) => parentPort?.postMessage(answer),
    (error: unknown) => {
      const finding = error instanceof Error ? (error.stack ?? error.message) : String(error);
      parentPort?.postMessage({ fresh: [], finding, executions: 0 } satisfies GuidedAnswer);
    },
  );
});
