/**
 * What a test gets for "node:test" while mutants are tried: its tests are listed here
 * instead of being run, and runner.js runs them, many times and in any order.
 *
 * Only what the tests of format, storage and engine use: `test`, and of its context
 * `after`, `mock` and `diagnostic`. A file that imports more cannot be loaded, and the dry
 * run says so.
 */
import { mock } from "node:test";

/** @typedef {{ id: string, run: (context: object) => unknown }} ListedTest */

/** @type {ListedTest[]} */
export let listedTests = [];

let file = "";

/** Says which file the next tests are from. */
export function beginFile(name) {
  file = name;
}

/** As in node:test; options are looked at by nobody. */
export function test(name, ...rest) {
  listedTests.push({ id: `${file}: ${name}`, run: rest.at(-1) });
}

/** Forgets tests by their names. */
export function leaveOut(pattern) {
  listedTests = listedTests.filter(({ id }) => !pattern.test(id));
}

/** The context of one run of a test, and the function that undoes what it was asked for. */
export function newContext() {
  const cleanups = [];
  const context = {
    after: (cleanup) => cleanups.push(cleanup),
    diagnostic: () => undefined,
    mock: new mock.constructor(),
  };
  const undo = async () => {
    context.mock.restoreAll();
    for (const cleanup of cleanups.reverse()) await cleanup();
  };
  return { context, undo };
}
