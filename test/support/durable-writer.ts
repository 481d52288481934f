/**
 * A program to be watched: opens a store, writes records one after the other,
 * and prints a line for each once it is acknowledged.
 *
 *     node durable-writer.js DIRECTORY COUNT DURABILITY
 */
import { open } from "../../src/index.js";

const [dataDir = "", count = "0", durability = "sync"] = process.argv.slice(2);
if (durability !== "sync" && durability !== "buffered") throw new Error("sync or buffered");

const kvix = await open({ dataDir, segmentBytesMax: 400, liftFloors: true });
for (let index = 0; index < Number(count); index += 1) {
  const name = `key-${String(index).padStart(4, "0")}`;
  await kvix.set(name, "value", { durability });
  process.stdout.write(`ack ${name}\n`);
}
await kvix.close();
process.stdout.write("closed\n");
