/** The inside of a worker thread: where a job meets its channel and the files of its own. */
import { constants, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import type { FileSystem } from "./file-system.js";
import { NodeFileSystem } from "./node-file-system.js";
import { type Channel, Mailbox, type Message } from "./worker.js";

/**
 * Runs a job in this thread until the other side wants no more. It gets the processor
 * when those who serve do not need it: on Linux a thread has a priority of its own,
 * elsewhere it would be that of the whole process.
 */
export async function runInThread(
  run: (channel: Channel, files: FileSystem) => Promise<void>,
): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("this is no worker thread");
  if (process.platform === "linux") setPriority(0, constants.priority.PRIORITY_LOW);
  const mailbox = new Mailbox();
  port.on("message", (message: Message | undefined) => {
    if (message === undefined) mailbox.close();
    else mailbox.put(message);
  });
  const channel: Channel = {
    post: (message, handOver = []) => port.postMessage(message, handOver),
    receive: () => mailbox.take(),
  };
  await run(channel, new NodeFileSystem());
  port.close();
}
