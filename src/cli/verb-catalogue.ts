/**
 * The verbs of `kvix`. A verb's module is loaded when the verb is asked for,
 * and no other: gRPC, the engine and the log cost most of a start, and `kvix
 * version` needs none of them.
 */
import type { Verb } from "./verb.js";

/** Every verb, in the order of the help. */
export const verbs: readonly Verb[] = [
  {
    name: "serve",
    summary: "Serve a store over gRPC until SIGTERM or SIGINT.",
    load: async () => (await import("./serve-verb.js")).declareServe,
  },
  {
    name: "get",
    summary: "Print the value of a key, byte by byte as it is; or several, one a line.",
    load: async () => (await import("./get.js")).declareGet,
  },
  {
    name: "set",
    summary: "Store a value, from the command line, a file or stdin.",
    load: async () => (await import("./set.js")).declareSet,
  },
  {
    name: "delete",
    summary: "Remove a key, or a range of keys.",
    load: async () => (await import("./delete.js")).declareDelete,
  },
  {
    name: "exists",
    summary: "Tell whether a key is there, without reading its value.",
    load: async () => (await import("./exists.js")).declareExists,
  },
  {
    name: "touch",
    summary: "Give a key another expiry.",
    load: async () => (await import("./touch.js")).declareTouch,
  },
  {
    name: "incr",
    summary: "Add to a number, and print what it is now.",
    load: async () => (await import("./incr.js")).declareIncr,
  },
  {
    name: "commit",
    summary: "Make several changes together, if all conditions hold: all or none.",
    load: async () => (await import("./commit.js")).declareCommit,
  },
  {
    name: "list",
    summary: "Print keys and values in the order of the keys, page after page.",
    load: async () => (await import("./list.js")).declareList,
  },
  {
    name: "scan",
    summary: "Print keys and values in order, all as of one point in time.",
    load: async () => (await import("./scan.js")).declareScan,
  },
  {
    name: "watch",
    summary: "Print every change as it becomes durable.",
    load: async () => (await import("./watch.js")).declareWatch,
  },
  {
    name: "status",
    summary: "Tell how the server is, what it allows, and why.",
    load: async () => (await import("./status.js")).declareStatus,
  },
  {
    name: "stats",
    summary: "Print the figures of the store.",
    load: async () => (await import("./stats.js")).declareStats,
  },
  {
    name: "segments",
    summary: "List the files that the store consists of.",
    load: async () => (await import("./segments.js")).declareSegments,
  },
  {
    name: "sync",
    summary: "Wait until everything acknowledged so far is durable.",
    load: async () => (await import("./sync.js")).declareSync,
  },
  {
    name: "compact",
    summary: "Bring back the space of what was deleted and overwritten.",
    load: async () => (await import("./compact.js")).declareCompact,
  },
  {
    name: "inspect",
    summary: "Show what is in a segment, a hint or a manifest.",
    load: async () => (await import("./inspect.js")).declareInspect,
  },
  {
    name: "verify",
    summary: "Check a store that nobody has open; changes nothing.",
    load: async () => (await import("./verify.js")).declareVerify,
  },
  {
    name: "repair",
    summary: "Rebuild the lost or damaged manifest of a store that nobody has open.",
    load: async () => (await import("./repair.js")).declareRepair,
  },
  {
    name: "config",
    summary: "Check the options of serve, wherever they come from.",
    load: async () => (await import("./config.js")).declareConfig,
  },
  {
    name: "version",
    summary: "Print the version.",
    load: async () => (await import("./version.js")).declareVersion,
  },
];
