/**
 * Opens a store once, in a process of its own, and says what that took: as JSON
 * on the last line of the output. The store is not closed, so its files stay as
 * they are.
 *
 *     node dist/bench/open-side.js DIRECTORY
 */
import { openStore } from "../src/engine/open-store.js";
import { nodeHost } from "../src/host/node-host.js";
import { benchStoreOptions, type Opening } from "./open-rounds.js";

const startMs = performance.now();
const store = await openStore(benchStoreOptions(process.argv[2] ?? ""), nodeHost());
const milliseconds = performance.now() - startMs;
const { keys, open } = store.stats();
const opening: Opening = {
  milliseconds,
  keys,
  open,
  peakBytes: process.resourceUsage().maxRSS * 1024,
};
console.log(JSON.stringify(opening));
process.exit();
