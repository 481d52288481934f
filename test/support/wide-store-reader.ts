/**
 * A program to be run under a limit of descriptors: makes a store of COUNT
 * segments in DIRECTORY, opens it, reads every record, writes on, closes it,
 * and prints what it saw as JSON.
 *
 *     node wide-store-reader.js DIRECTORY COUNT LARGE
 *
 * The first LARGE segments have a record that is read off the event loop.
 */
import { readdirSync } from "node:fs";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import { nodeHost } from "../../src/host/node-host.js";
import { keyAt, versionAt, writeWideStore } from "./wide-store.js";

const [dataDir = "", countText = "0", largeText = "0"] = process.argv.slice(2);
const count = Number(countText);
const large = Number(largeText);
/** Above what a store reads on the event loop. */
const LARGE_VALUE_BYTES = 70_000;
/** Small enough that each write below gets a segment of its own. */
const options = { dataDir, liftFloors: true, segmentBytesMax: 128, diskReserveBytes: 0 };

let mostDescriptors = 0;
function countDescriptors(): number {
  const now = readdirSync("/proc/self/fd").length;
  mostDescriptors = Math.max(mostDescriptors, now);
  return now;
}

function valueAt(index: number): Buffer {
  return Buffer.alloc(index < large ? LARGE_VALUE_BYTES : 20, `${index} `);
}

async function isAsWritten(store: LocalStore, index: number): Promise<boolean> {
  const record = await store.get(Buffer.from(keyAt(index)));
  if (index % 500 === 0) countDescriptors();
  return record?.version === versionAt(index) && valueAt(index).equals(record.value);
}

await writeWideStore(dataDir, count, valueAt);
const before = countDescriptors();

const store = await openStore(options, nodeHost());
const { segmentsFromHints } = store.stats().open;
countDescriptors();
let right = 0;
const atOnce = Array.from({ length: large }, (_, index) => isAsWritten(store, index));
for (const isRight of await Promise.all(atOnce)) right += isRight ? 1 : 0;
for (let index = large; index < count; index += 1) {
  if (await isAsWritten(store, index)) right += 1;
}
const { openFiles } = store.stats();
for (let index = 0; index < 5; index += 1) {
  const value = Buffer.alloc(100, index);
  await store.set(Buffer.from(`new-${index}`), value, { kind: "never" }, { durability: "sync" });
  countDescriptors();
}
const { segments, condition } = store.stats();
await store.close();
const leaked = countDescriptors() - before;

const seen = { right, segmentsFromHints, segments, openFiles, leaked, mostDescriptors };
process.stdout.write(`${JSON.stringify({ ...seen, reasons: condition.reasons })}\n`);
