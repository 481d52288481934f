/**
 * The process of one contender: started by the bench with the contender's name, a
 * directory and a number of records; runs the tasks that it is sent, one at a time.
 */
import type { ContenderName, OpenContender } from "./engine-contender.js";
import { Records } from "./engine-records.js";
import { doingOf, type Reply, runTask, type Task } from "./engine-task.js";

// Imported on demand, so that no side carries another's code.
const openers: Readonly<Record<ContenderName, () => Promise<OpenContender>>> = {
  kvix: async () => (await import("./engine-kvix.js")).openKvix,
  "kvix-uncached": async () => (await import("./engine-kvix.js")).openUncachedKvix,
  lmdb: async () => (await import("./engine-peers.js")).openLmdb,
  "classic-level": async () => (await import("./engine-peers.js")).openClassicLevel,
  "better-sqlite3": async () => (await import("./engine-peers.js")).openBetterSqlite,
};

const [name, directory = "", count] = process.argv.slice(2);
const records = new Records(Number(count));
const open = await openers[name as ContenderName]();
const store = await open(directory, records);

const reply = (message: Reply): void => {
  process.send?.(message);
};

process.on("message", (task: Task) => {
  runTask(store, records, task).then(
    (lap) => {
      reply({ kind: "lap", lap, manner: store.manner[doingOf(task)] });
    },
    (error: unknown) => reply({ kind: "failed", message: String(error) }),
  );
});
// The bench closes the channel when it is done, or has died.
process.on("disconnect", () => process.exit());
