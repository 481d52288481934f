/**
 * A runner of tests for StrykerJS, in one process: it loads the tests of a file once, and
 * for a mutant runs only those tests that reach it, the quickest first, until one fails.
 *
 *     dry run    every test, one after the other: does it pass, what does it reach, what
 *                does it cost?
 *     mutant     switched on -> tests of its file, as many as effortMs of a core are
 *                enough for -> switched off; what noticed it must pass again
 *
 * A process of its own for each file of tests and each mutant would cost ten times as much.
 * What one process costs is that a mutant may leave something behind: then the test that
 * noticed it fails without it too, and the next mutant begins in a new process.
 *
 * A test fails by what it throws, by a rejection that nobody handles, and if it waits while
 * nothing is under way that could wake it. A loop is endless if it takes a hundred times the
 * rounds that the test took in the dry run, or if the tests of a mutant take twice their
 * time and two seconds more; both by the time of the core that they had, for others use the
 * machine as well. So a thread watches this process, and ends it: the next one tells why.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { declareFactoryPlugin, PluginKind } from "@stryker-mutator/api/plugin";
import {
  DryRunStatus,
  determineHitLimitReached,
  TestStatus,
  toMutantRunResult,
} from "@stryker-mutator/api/test-runner";
import { beginFile, leaveOut, listedTests, newContext } from "./node-test.js";

/** What tests cost and reach, for the processes that come after the dry run. In the sandbox. */
const factsFile = "kvix-test-facts.json";
/** A place that a test passes this many times as often as without the mutant is in an endless loop. */
const ROUNDS_FACTOR = 100;
const ROUNDS_MIN = 1000;
/** Mutants that this process, or one before it, was ended for. In the sandbox. */
const endlessFile = "kvix-test-endless.txt";
/** What the tests of a mutant may take beyond twice their time, in milliseconds of a core. */
const SPARE_MS = 2000;
/** What loading a mutant may take that works while it is loaded. */
const LOAD_MS = 30_000;
/** How long a process may do nothing at all, in milliseconds of the clock. */
const STANDSTILL_MS = 60_000;
/** How often a test that waits is looked at, and how often it must have been idle. */
const LOOK_MS = 20;
const IDLE_LOOKS = 10;

/** What main.ts asks for: see rooms.ts. */
const { tests, except, subjects = [] } = JSON.parse(process.env.KVIX_MUTANTS ?? "{}");
/** A test that costs more than any mutant may is not asked at all. */
const effortMsMax = Math.max(...subjects.map(({ effortMs }) => effortMs));

/** What holds the state of the mutants' switches, by the tool's own name. */
const switches = () => {
  globalThis.__stryker__ ??= {};
  return globalThis.__stryker__;
};

/** Lets a test that is under way fail; set while one is. */
let failCurrent;

/**
 * What the tests reached. Code that runs while files are loaded needs a new process for
 * each of its mutants, unless tests reach it as well: then they are asked.
 */
function coverage() {
  const { static: onLoad = {}, perTest = {} } = switches().mutantCoverage ?? {};
  for (const reached of Object.values(perTest)) for (const id in reached) delete onLoad[id];
  return { static: onLoad, perTest };
}

class Runner {
  #isLoaded = false;
  #isSpoilt = false;
  #costs = {};
  /** How often a test passes the place of a mutant. */
  #rounds = {};
  #idleKinds = new Set();
  #watched;

  capabilities() {
    return { reloadEnvironment: false };
  }

  async init() {
    this.#watched = watch();
    register(`data:text/javascript,${encodeURIComponent(hooks)}`);
    for (const event of ["unhandledRejection", "uncaughtException"]) {
      process.on(event, (error) => failCurrent?.(error));
    }
    if (!existsSync(factsFile)) return;
    const { costs, rounds } = JSON.parse(readFileSync(factsFile, "utf8"));
    this.#costs = costs;
    this.#rounds = rounds;
  }

  async dryRun() {
    await this.#load();
    const results = [];
    for (const test of listedTests) {
      const before = process.cpuUsage();
      const result = await this.#outcomeOf(test);
      const { user, system } = process.cpuUsage(before);
      const costMs = (user + system) / 1000;
      if (result.status === TestStatus.Success && costMs > effortMsMax) {
        delete switches().mutantCoverage?.perTest[test.id];
        continue;
      }
      this.#costs[test.id] = costMs;
      results.push({ ...result, timeSpentMs: costMs });
    }
    const mutantCoverage = coverage();
    this.#rounds = mutantCoverage.perTest;
    writeFileSync(factsFile, JSON.stringify({ costs: this.#costs, rounds: this.#rounds }));
    return { status: DryRunStatus.Complete, tests: results, mutantCoverage };
  }

  async mutantRun({ activeMutant, testFilter, hitLimit, mutantActivation }) {
    // The tool begins a new process, and tries the mutant there.
    if (this.#isSpoilt) process.exit(1);
    const space = switches();
    const turn = (id) => {
      space.activeMutant = id;
      // For threads, which have switches of their own.
      if (id === undefined) delete process.env.__STRYKER_ACTIVE_MUTANT__;
      else process.env.__STRYKER_ACTIVE_MUTANT__ = id;
    };
    if (endless().includes(activeMutant.id)) return { status: "timeout", reason: "endless" };
    if (mutantActivation === "static") {
      this.#watched(Number(activeMutant.id), LOAD_MS);
      turn(activeMutant.id);
    }
    await this.#load();
    turn(activeMutant.id);
    const chosen = this.#chosen(testFilter, activeMutant.fileName);
    let limitMs = SPARE_MS;
    for (const { id } of chosen) limitMs += 2 * this.#costs[id];
    this.#watched(Number(activeMutant.id), limitMs);
    const results = [];
    let noticedBy;
    let isEndless;
    for (const test of chosen) {
      space.hitCount = 0;
      space.hitLimit = this.#roundsMax(test, activeMutant) ?? hitLimit;
      const result = await this.#outcomeOf(test);
      results.push(result);
      isEndless = determineHitLimitReached(space.hitCount, space.hitLimit);
      if (result.status === TestStatus.Failed) noticedBy = test;
      if (isEndless !== undefined || noticedBy !== undefined) break;
    }
    turn(undefined);
    this.#watched(-1, 0);
    if (noticedBy !== undefined || isEndless !== undefined) await this.#control(noticedBy);
    return toMutantRunResult(isEndless ?? { status: DryRunStatus.Complete, tests: results });
  }

  async dispose() {}

  /** The tool's own limit is that of all tests together: a loop of millions of rounds takes minutes. */
  #roundsMax({ id }, mutant) {
    const rounds = this.#rounds[id]?.[mutant.id];
    return rounds === undefined ? undefined : Math.max(ROUNDS_MIN, ROUNDS_FACTOR * rounds);
  }

  /** Whether a test passes again without the mutant that it noticed. */
  async #control(test) {
    for (let turn = 0; turn < 10; turn += 1) await new Promise((next) => setImmediate(next));
    if (test === undefined) return;
    const { status } = await this.#outcomeOf(test);
    this.#isSpoilt = status !== TestStatus.Success;
  }

  /** Of the tests that are about the file: those of the first file of tests, then the cheapest. */
  #chosen(filter, fileName) {
    const asked = filter === undefined ? undefined : new Set(filter);
    const subject = subjects.find(({ source }) => fileName.endsWith(source));
    const cost = ({ id }) => this.#costs[id] ?? Number.POSITIVE_INFINITY;
    const fileOf = ({ id }) => id.slice(0, id.indexOf(": "));
    const rank = (test) => (fileOf(test) === subject.tests[0] ? 0 : 1);
    let leftMs = subject.effortMs;
    return listedTests
      .filter((test) => asked?.has(test.id) !== false && subject.tests.includes(fileOf(test)))
      .sort((one, other) => rank(one) - rank(other) || cost(one) - cost(other))
      .filter((test) => {
        leftMs -= cost(test);
        return leftMs >= 0;
      });
  }

  async #load() {
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    for (const path of tests) {
      beginFile(path);
      const output = join(process.cwd(), "dist", path.replace(/\.ts$/, ".js"));
      await import(pathToFileURL(output).href);
    }
    for (const pattern of except) leaveOut(new RegExp(pattern));
    this.#idleKinds = new Set(process.getActiveResourcesInfo());
  }

  async #outcomeOf({ id, run }) {
    const space = switches();
    space.currentTestId = id;
    const { context, undo } = newContext();
    let looks;
    const ended = new Promise((_, reject) => {
      failCurrent = reject;
      let idle = 0;
      looks = setInterval(() => {
        const kinds = process.getActiveResourcesInfo();
        idle = kinds.every((kind) => this.#idleKinds.has(kind)) ? idle + 1 : 0;
        if (idle === IDLE_LOOKS) reject(new Error("it waits for what never comes"));
      }, LOOK_MS);
      looks.unref();
    });
    ended.catch(() => undefined);
    const name = { id, name: id, timeSpentMs: 0 };
    try {
      await Promise.race([(async () => await run(context))(), ended]);
      // A rejection that nobody handles is told of only now.
      await Promise.race([new Promise((next) => setImmediate(next)), ended]);
      return { ...name, status: TestStatus.Success };
    } catch (error) {
      const failureMessage = String(error?.message ?? error).slice(0, 400);
      return { ...name, status: TestStatus.Failed, failureMessage };
    } finally {
      clearInterval(looks);
      await undo();
      failCurrent = undefined;
      space.currentTestId = undefined;
    }
  }
}

/** The ids of mutants that a process was ended for. */
function endless() {
  return existsSync(endlessFile) ? readFileSync(endlessFile, "utf8").split("\n") : [];
}

/** Has this process watched; the answer takes the number of a mutant, -1 for none, and its limit. */
function watch() {
  const shared = new Float64Array(new SharedArrayBuffer(16));
  shared[0] = -1;
  const workerData = { shared, endlessFile, standstillMs: STANDSTILL_MS };
  new Worker(watcher, { eval: true, workerData }).unref();
  return (mutant, limitMs) => {
    shared[1] = limitMs;
    shared[0] = mutant;
  };
}

const watcher = `
  const { shared, endlessFile, standstillMs } = require("node:worker_threads").workerData;
  const { appendFileSync } = require("node:fs");
  const spentMs = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  let mutant = -1;
  let beganAtMs = 0;
  let movedAtMs = 0;
  let seenMs = 0;
  setInterval(() => {
    const nowMs = spentMs();
    if (shared[0] !== mutant) {
      mutant = shared[0];
      beganAtMs = nowMs;
    }
    if (nowMs - seenMs > 200 || mutant === -1) {
      seenMs = nowMs;
      movedAtMs = Date.now();
    }
    if (mutant === -1) return;
    if (nowMs - beganAtMs < shared[1] && Date.now() - movedAtMs < standstillMs) return;
    appendFileSync(endlessFile, mutant + "\\n");
    process.kill(process.pid, "SIGKILL");
  }, 250);
`;

/** Lets tests have node-test.js. */
const hooks = `
  export const resolve = (specifier, context, next) =>
    specifier === "node:test" && !context.parentURL?.includes("/node_modules/")
      ? { url: ${JSON.stringify(new URL("./node-test.js", import.meta.url).href)}, shortCircuit: true }
      : next(specifier, context);
`;

/** For the tool. */
export const strykerPlugins = [
  declareFactoryPlugin(
    PluginKind.TestRunner,
    "kvix",
    Object.assign(() => new Runner(), { inject: [] }),
  ),
];
