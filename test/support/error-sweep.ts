/**
 * One life of a store in which a file operation fails, at each of them in turn, once
 * or for longer; then the process or the power goes, and what is left is lived on.
 *
 *     life, with an error at operation i -> killed | power cut -> live on
 *
 * The life goes on after the error as far as it can, and judges by itself what the
 * store shows meanwhile. A store that calls what happened a defect of its own has one.
 */
import { strict as assert } from "node:assert";
import { CrashRun } from "./crash-run.js";
import { type FileOperation, isMutating } from "./file-operation.js";
import { located } from "./located.js";
import type { SimFailure, SimHook } from "./sim-hook.js";
import { simHost } from "./sim-host.js";
import { crashPolicies } from "./sim-survival.js";

/** What fails, and for how long. */
export interface ErrorKind {
  readonly name: string;
  readonly code: string;
  /** How much is done of what is said to have failed; see SimFailure. */
  readonly done: SimFailure["done"];
  /** So many operations fail, from the first on that is hit. */
  readonly times: number;
  readonly hits: (op: FileOperation) => boolean;
}

/** A close that fails has closed all the same, and so has a release. */
const letsGo = (op: FileOperation): boolean => op === "close" || op === "release";

const takesSpace = (op: FileOperation): boolean =>
  op === "write" || op === "create" || op === "makeDirectory" || op === "link";

const always = Number.POSITIVE_INFINITY;
/** An error of an operation that passes. */
const some = 12;

/** Errors of operations that change something. */
export const writeErrors: readonly ErrorKind[] = [
  { name: "EIO once", code: "EIO", done: "part", times: 1, hits: isMutating },
  { name: "EIO from then on", code: "EIO", done: "part", times: always, hits: isMutating },
  { name: "ENOSPC once", code: "ENOSPC", done: "nothing", times: 1, hits: isMutating },
  { name: "ENOSPC from then on", code: "ENOSPC", done: "nothing", times: always, hits: isMutating },
  { name: "EIO once, though done", code: "EIO", done: "all", times: 1, hits: isMutating },
  { name: "EIO for a while", code: "EIO", done: "nothing", times: some, hits: isMutating },
  { name: "a short write", code: "ENOSPC", done: "part", times: 1, hits: takesSpace },
  { name: "a full disk", code: "ENOSPC", done: "part", times: always, hits: takesSpace },
  { name: "EFBIG once", code: "EFBIG", done: "part", times: 1, hits: (op) => op === "write" },
  {
    name: "EMFILE for a while",
    code: "EMFILE",
    done: "nothing",
    times: some,
    hits: (op) => op === "create",
  },
];

/** Errors of operations that change nothing. */
export const readErrors: readonly ErrorKind[] = [
  { name: "EIO once", code: "EIO", done: "nothing", times: 1, hits: (op) => !isMutating(op) },
  { name: "EIO of a close", code: "EIO", done: "all", times: 1, hits: letsGo },
  { name: "EMFILE once", code: "EMFILE", done: "nothing", times: 1, hits: (op) => op === "open" },
  {
    name: "EMFILE for a while",
    code: "EMFILE",
    done: "nothing",
    times: some,
    hits: (op) => op === "open",
  },
  {
    name: "EIO of reads for a while",
    code: "EIO",
    done: "nothing",
    times: some,
    hits: (op) => op === "read",
  },
];

/** What a sweep is of. */
export interface ErrorSweepOptions {
  /** Lives as far as it can, and throws what a store must not do. */
  readonly life: (run: CrashRun) => Promise<void>;
  readonly liveOn: (run: CrashRun, where: string) => Promise<void>;
  readonly newRun?: () => CrashRun;
  /** What fails where, and what survives. Default 0. */
  readonly seed?: number;
}

/** How far it goes. */
export interface ErrorSweepExtent {
  readonly kinds: readonly ErrorKind[];
  /** From one operation to the next: so many. */
  readonly stride: number;
  /** So many of the kinds at each operation, in turns. */
  readonly kindsEach: number;
}

/** Has operations of one life fail. */
export class ErrorSweep {
  readonly #life: ErrorSweepOptions["life"];
  readonly #liveOn: ErrorSweepOptions["liveOn"];
  readonly #newRun: () => CrashRun;
  readonly #seed: number;

  constructor({ life, liveOn, newRun, seed }: ErrorSweepOptions) {
    this.#life = life;
    this.#liveOn = liveOn;
    this.#newRun = newRun ?? (() => new CrashRun());
    this.#seed = seed ?? 0;
  }

  /** Answers how many lives had an operation that failed. */
  async run({ kinds, stride, kindsEach }: ErrorSweepExtent): Promise<number> {
    const whole = this.#newRun();
    assert.ok(await whole.live(this.#life));
    const { mutations, readings } = whole.host.files;
    const isReading = kinds.every(({ hits }) => !hits("write") && !hits("create"));
    const operations = isReading ? readings : mutations;
    let failures = 0;
    for (let index = this.#seed % stride; index < operations; index += stride) {
      for (let turn = 0; turn < kindsEach; turn += 1) {
        const order = Math.floor(index / stride) * kindsEach + turn + this.#seed;
        const kind = kinds[order % kinds.length] as ErrorKind;
        if (await this.#fail(kind, index)) failures += 1;
      }
    }
    return failures;
  }

  /** The life with one error; answers whether it met it. */
  async #fail(kind: ErrorKind, first: number): Promise<boolean> {
    const run = this.#newRun();
    run.isFaulty = true;
    const { hook, failures } = failing(kind, first, run);
    const failed = (): string => `${kind.name} at ${first} (${failures[0] ?? "not met"})`;
    await located(failed, () => run.live(this.#life, hook));
    const { files: dying, clock, log } = run.host;
    dying.onOperation = undefined;
    const number = first * 100 + this.#seed;
    // Every way to end has its turn, the kill of the process among them.
    const policy = crashPolicies[number % (crashPolicies.length + 3)];
    const end = policy ? `bytes ${policy.bytes}, names ${policy.names}` : "killed";
    const where = `${failed()}, ${end}`;
    const defects = log.lines.filter(({ fields }) => /defect/.test(`${fields["why"]}`));
    assert.deepEqual(defects, [], where);
    const files = policy ? dying.crash(policy, number) : dying.kill();
    // The page cache shows what a failed sync left unwritten only until it needs the room.
    if (policy === undefined && number % 2 === 0) files.disk.evictCleanPages();
    const next = run.next(simHost({ seed: number, files, clock }));
    await located(
      () => where,
      () => this.#liveOn(next, where),
    );
    return failures.length > 0;
  }
}

/** Operations count apart, as those that change something and those that do not. */
function failing(
  kind: ErrorKind,
  first: number,
  run: CrashRun,
): { hook: SimHook; failures: string[] } {
  const failures: string[] = [];
  const isMutatingKind = kind.hits("write") || kind.hits("create");
  const hook: SimHook = ({ op, path, index }) => {
    if (isMutating(op) !== isMutatingKind || index < first) return undefined;
    if (!kind.hits(op) || failures.length >= kind.times) return undefined;
    failures.push(`${op} of ${path}`);
    // A directory whose name a failed sync has lost cannot be made again where it still
    // shows: no opening that is tried again can make up for that.
    const isNew = op === "syncDirectory" && !run.hasOpened;
    const done = isNew && kind.done === "part" ? "nothing" : kind.done;
    return { code: kind.code, done: letsGo(op) ? "all" : done };
  };
  return { hook, failures };
}
