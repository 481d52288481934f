/**
 * Loaded into every test process before its file: node:test does not follow promises.
 *
 * It has an async hook that knows of every promise and timer which test it came from, to
 * fail that test when an error is caught nowhere. In a test on the simulated machine, which
 * is nothing but promises, that hook takes more than half of the time. So it ends when the
 * file has been read: until then it tells which suite a test is defined in. After that such
 * an error fails the file; which one it was, and where it was thrown, is told here.
 *
 * If a version of Node makes no such hook, this changes nothing.
 */
import asyncHooks from "node:async_hooks";
import { inspect } from "node:util";
import { isMainThread } from "node:worker_threads";

/** How long a file goes on after such an error: a test may now wait for what does not come. */
const GRACE_MS = 10_000;

function failFile(error: unknown): void {
  process.exitCode = 1;
  process.stderr.write(`caught nowhere: ${inspect(error)}\n`);
  setTimeout(() => process.exit(1), GRACE_MS).unref();
}

// Processes and threads that a test forks are given this module too, and are none of its business.
if (isMainThread && process.argv[1]?.endsWith(".test.js") === true) {
  const { createHook } = asyncHooks;
  asyncHooks.createHook = (callbacks) => {
    const hook = createHook(callbacks);
    const enable = hook.enable.bind(hook);
    // By the first test or suite of the file, the rest of which is read in the same turn.
    hook.enable = () => {
      setImmediate(() => hook.disable());
      return enable();
    };
    return hook;
  };
  // It takes what it needs when it is loaded, which is now.
  await import("node:test");
  asyncHooks.createHook = createHook;
  process.on("uncaughtException", failFile).on("unhandledRejection", failFile);
}
