/** Where the copier's thread begins. */
import { runInThread } from "../../host/node-worker-thread.js";
import { workerJob } from "./copier.js";

await runInThread(workerJob.run);
