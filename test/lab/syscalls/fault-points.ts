/**
 * Every place at which a life can be hit, told from a recording of it: each call of each
 * thread that changes files, or tells somebody something, with what may befall it.
 *
 * A kill comes at the entry of a call, which then does not happen: what is done after a
 * call is done before the next. An error comes once, or from one call on (`+`).
 *
 * Left out, because no kernel does it:
 *  - a short write by `retval=`: it claims bytes that are not there. Real ones come by a
 *    limit on the size of files, at which the kernel writes what fits, then EFBIG.
 *  - EINTR for ever: whoever waits for an interrupted call to come to an end waits.
 *  - close(2) that fails: the call would not happen, and the descriptor stay open.
 */
import type { TracedCall } from "../../support/syscall-trace.js";
import type { SceneRun } from "./scene.js";
import type { Injection, ThreadName, Treatment } from "./subject.js";

/** One way to be hit. */
export interface FaultPoint {
  readonly kind: "kill" | "error" | "limit";
  /** The call that is hit. */
  readonly call: string;
  /** For a message: what, and which call. */
  readonly where: string;
  readonly treatment: Treatment;
  /** Whether nobody has anything to notice: an interrupted call is made again. */
  readonly isHarmless: boolean;
}

/** What may befall a call. */
interface Fault {
  readonly error: string;
  /** From that call on, too. */
  readonly isSticky: boolean;
}

const once = (error: string): Fault => ({ error, isSticky: false });
const sticky = (error: string): Fault => ({ error, isSticky: true });
const both = (error: string): Fault[] => [once(error), sticky(error)];

const naming = [...both("EIO"), ...both("ENOSPC")];
const removing = both("EIO");
/** libuv makes an interrupted call again. */
const writing = [...both("EIO"), ...both("ENOSPC"), once("EINTR")];

/** Of every call that is hit. */
const faultsOf: Readonly<Record<string, readonly Fault[]>> = {
  // What it writes are acknowledgements: they can be cut off, not refused.
  write: [],
  pwrite64: writing,
  writev: writing,
  pwritev: writing,
  fdatasync: [...both("EIO"), once("ENOSPC"), once("EINTR")],
  fsync: [...both("EIO"), once("EINTR")],
  ftruncate: [...both("EIO"), once("EINTR")],
  fallocate: both("ENOSPC"),
  rename: naming,
  renameat: naming,
  renameat2: naming,
  link: naming,
  linkat: naming,
  unlink: removing,
  unlinkat: removing,
  rmdir: removing,
  mkdir: naming,
  mkdirat: naming,
  openat: [...both("EMFILE"), once("EIO"), once("ENOSPC")],
};

/** The names of all calls that are hit. */
export const hittableNames: readonly string[] = Object.keys(faultsOf);

/** A call that is hit, and which it is of its thread. */
export interface NumberedCall {
  readonly thread: ThreadName;
  readonly call: TracedCall;
  /** From 1, among all of that name that the thread makes. */
  readonly n: number;
}

/** The calls of a recorded life that may be hit, in order. */
export function hittableCalls(run: SceneRun, rootPath: string): NumberedCall[] {
  const counts = new Map<string, number>();
  const hittable: NumberedCall[] = [];
  for (const call of run.calls) {
    const thread = threadOf(call, run);
    const isOurs = isBelow(call, rootPath);
    if (isOurs && thread === undefined) {
      throw new Error(`a thread that nobody knows makes ${call.call} on ${call.path}`);
    }
    if (thread === undefined || !(call.call in faultsOf)) continue;
    const counted = `${thread} ${call.call}`;
    const n = (counts.get(counted) ?? 0) + 1;
    counts.set(counted, n);
    if (isOurs || isTelling(call)) hittable.push({ thread, call, n });
  }
  return hittable;
}

/** Whether a call tells whoever listens to the program. */
export function isTelling({ call, descriptor }: TracedCall): boolean {
  return call === "write" && descriptor === 1;
}

/** Whether a call is of a file or a directory below a folder. */
export function isBelow({ path }: TracedCall, rootPath: string): boolean {
  return path === rootPath || path?.startsWith(`${rootPath}/`) === true;
}

/** The processes that the program starts, and Node's own threads, are neither. */
function threadOf({ pid }: TracedCall, run: SceneRun): ThreadName | undefined {
  if (pid === run.mainThread) return "main";
  return pid === run.poolThread ? "pool" : undefined;
}

/** Every way to be hit at these calls. */
export function faultPoints(calls: readonly NumberedCall[]): FaultPoint[] {
  const points = [...kills(calls), ...errors(calls), ...cutFailures(calls), ...limits(calls)];
  const known = new Set<string>();
  return points.filter(({ where }) => !known.has(where) && known.add(where));
}

function kills(calls: readonly NumberedCall[]): FaultPoint[] {
  return calls.map((numbered) => {
    const { n } = numbered;
    const where = `killed at ${placeOf(numbered)}`;
    return pointOf("kill", where, [injection(numbered, `signal=SIGKILL:when=${n}`)]);
  });
}

function errors(calls: readonly NumberedCall[]): FaultPoint[] {
  return calls.flatMap((numbered) =>
    (faultsOf[numbered.call.call] ?? []).map(({ error, isSticky }) => {
      const when = `${numbered.n}${isSticky ? "+" : ""}`;
      const where = `${error}${isSticky ? " from" : " at"} ${placeOf(numbered)}${isSticky ? " on" : ""}`;
      const what = injection(numbered, `error=${error}:when=${when}`);
      return pointOf("error", where, [what], error === "EINTR");
    }),
  );
}

/** An append that fails is cut; and that, or the sync of it, fails as well. */
function cutFailures(calls: readonly NumberedCall[]): FaultPoint[] {
  return calls.flatMap((numbered, index) => {
    const { thread, call, n } = numbered;
    if (thread !== "main" || !call.call.startsWith("pwrite")) return [];
    const append = injection(numbered, `error=EIO:when=${n}`);
    const syncs = calls.slice(0, index).filter((one) => one.call.call === "fdatasync").length;
    const where = `EIO at ${placeOf(numbered)}`;
    return [
      pointOf("error", `${where}, and then at every ftruncate`, [
        append,
        { thread: "pool", call: "ftruncate", what: "error=EIO:when=1+" },
      ]),
      pointOf("error", `${where}, and then at the next fdatasync`, [
        append,
        { thread: "pool", call: "fdatasync", what: `error=EIO:when=${syncs + 1}` },
      ]),
    ];
  });
}

/** Limits on the size of files at which some write is refused, or is short. */
function limits(calls: readonly NumberedCall[]): FaultPoint[] {
  const sizes = new Set<number>();
  for (const { call } of calls) {
    const range = writtenRange(call);
    if (range === undefined) continue;
    const { position, length } = range;
    for (const part of [0, 1, Math.floor(length / 2), length - 1]) sizes.add(position + part);
  }
  return [...sizes]
    .sort((one, other) => one - other)
    .flatMap((fileBytesMax) =>
      [true, false].map((isLifted): FaultPoint => {
        const until = isLifted ? " until something is refused" : "";
        const where = `no file beyond ${fileBytesMax} bytes${until}`;
        const treatment = { kind: "limit", fileBytesMax, isLifted } as const;
        return { kind: "limit", call: "pwrite64", where, treatment, isHarmless: false };
      }),
    );
}

/** Where a pwrite64 wrote, and how much. */
export function writtenRange({
  call,
  given,
  result,
}: TracedCall): { readonly position: number; readonly length: number } | undefined {
  if (call !== "pwrite64" || result === undefined || result < 0) return undefined;
  const position = Number(/, (\d+)$/.exec(given)?.[1]);
  if (!Number.isSafeInteger(position)) throw new Error(`a write to nowhere: ${given.slice(-80)}`);
  return { position, length: result };
}

function injection({ thread, call }: NumberedCall, what: string): Injection {
  return { thread, call: call.call, what };
}

function pointOf(
  kind: "kill" | "error",
  where: string,
  injections: readonly [Injection, ...Injection[]],
  isHarmless = false,
): FaultPoint {
  const treatment = { kind: "inject", injections } as const;
  return { kind, call: injections[0].call, where, treatment, isHarmless };
}

function placeOf({ thread, call, n }: NumberedCall): string {
  const file = isTelling(call) ? "" : ` of ${call.path?.split("/").at(-1)}`;
  return `${call.call} ${n} of the ${thread} thread${file}`;
}
