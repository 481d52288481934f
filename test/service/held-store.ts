/**
 * A store that holds back its writes: each is handed to the store below it, in
 * order, when the test says so. So a test decides what is pending.
 */
import type { Store } from "../../src/engine/store.js";
import { recordsOfRun } from "../support/set-runs.js";

/** What a test has of it. */
export interface HeldStore {
  readonly store: Store;
  /** How many writes have come, and how many wait. */
  readonly arrived: number;
  readonly waiting: number;
  /** Lets the oldest that waits go on; all of them if `count` is left out. */
  release(count?: number): void;
}

/** Holds back the sets of `below`; its commits too, if asked for. */
export function holdWrites(below: Store, { withCommits = false } = {}): HeldStore {
  const waiting: (() => void)[] = [];
  let arrived = 0;
  const submitSet: Store["submitSet"] = (...args): void => {
    arrived += 1;
    waiting.push(() => below.submitSet(...args));
  };
  // A run counts for each of its sets, and is handed on with the last of them.
  const submitSets: Store["submitSets"] = (...args): void => {
    const count = recordsOfRun(args[0]).length;
    arrived += count;
    for (let set = 1; set < count; set += 1) waiting.push(() => undefined);
    waiting.push(() => below.submitSets(...args));
  };
  const commit: Store["commit"] = async (...args) => {
    arrived += 1;
    await new Promise<void>((resolve) => waiting.push(resolve));
    return await below.commit(...args);
  };
  const store = new Proxy(below, {
    get(target, name) {
      if (name === "submitSet") return submitSet;
      if (name === "submitSets") return submitSets;
      if (name === "commit" && withCommits) return commit;
      const member: unknown = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
  return {
    store,
    get arrived() {
      return arrived;
    },
    get waiting() {
      return waiting.length;
    },
    release: (count = waiting.length) => {
      for (const go of waiting.splice(0, count)) go();
    },
  };
}
