/**
 * What a test gets for "node:test" while mutants are tried: its tests are listed here
 * instead of being run, and runner.js runs them, many times and in any order.
 *
 * Only what the tests of format, storage and engine use: `test`, and of its context
 * `after`, `mock` and `diagnostic`; `describe` and `it` with what runs before and after
 * each. What is to run after a file never does: main.ts clears the folder for temporary
 * files. A file that imports more cannot be loaded, and the dry run says so.
 */
import { mock } from "node:test";

/** @typedef {{ id: string, run: (context: object) => unknown }} ListedTest */

/** @type {ListedTest[]} */
export let listedTests = [];

let file = "";
/** The suites around what is being listed, the file itself first. */
let suites = [];

const newSuite = (name) => ({ name, before: [], after: [] });

/** Says which file the next tests are from. */
export function beginFile(name) {
  file = name;
  suites = [newSuite("")];
}

/** As in node:test; options are looked at by nobody. */
export function test(name, ...rest) {
  const around = [...suites];
  const names = [...around.map((suite) => suite.name), name].filter((part) => part !== "");
  const run = async (context) => {
    for (const { before } of around) for (const hook of before) await hook();
    try {
      await rest.at(-1)(context);
    } finally {
      for (const { after: hooks } of around.toReversed()) for (const hook of hooks) await hook();
    }
  };
  listedTests.push({ id: `${file}: ${names.join(": ")}`, run });
}

export const it = test;

/** A suite; what it lists, it lists at once. */
export function describe(name, ...rest) {
  suites = [...suites, newSuite(name)];
  rest.at(-1)();
  suites = suites.slice(0, -1);
}

export function beforeEach(hook) {
  suites.at(-1).before.push(hook);
}

export function afterEach(hook) {
  suites.at(-1).after.push(hook);
}

export function after() {}

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
