/**
 * What a program asked of the kernel, in order: runs it under strace and reads
 * the log, so that a test can say "fdatasync of the segment had returned before
 * the acknowledgement was written" (D1, D2).
 *
 * One line of the log, or two if another thread came between:
 *
 *     4711 fdatasync(18</data/a.seg>) = 0
 *     4711 fdatasync(18</data/a.seg> <unfinished ...>
 *     4711 <... fdatasync resumed>) = 0
 *
 * The program gets one thread for file operations and no io_uring: with more,
 * "the n-th call" is no certain thing, and io_uring's work is no system call.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plainEnvironment } from "./plain-environment.js";

/** A system call as it was seen. */
export interface TracedCall {
  readonly pid: number;
  /** Its name: "fdatasync". */
  readonly call: string;
  /** All that it was given, as strace shows it. */
  readonly given: string;
  /** The descriptor that it was given first, if any. */
  readonly descriptor: number | undefined;
  /** The file: the descriptor's, or the first path. A socket: "socket:[7]". */
  readonly path: string | undefined;
  /** The second path of a rename or a link. */
  readonly target: string | undefined;
  /** The first bytes of what was written, one character a byte. */
  readonly text: string | undefined;
  /** What it returned; undefined: it never did. */
  readonly result: number | undefined;
  /** The error's code, if it failed. */
  readonly error: string | undefined;
  /** Line of the log, from 0, on which it began. */
  readonly started: number;
  /** Line on which it had returned; undefined: it never did. */
  readonly returned: number | undefined;
}

/** Whether `one` had returned when `other` began. */
export function isBefore(one: TracedCall, other: TracedCall): boolean {
  return one.returned !== undefined && one.returned < other.started;
}

/** The calls that change files or tell somebody something; `?`: not on every machine. */
const tracedCalls = [
  "openat,write,pwrite64,writev,pwritev,?sendto,?sendmsg,fdatasync,fsync,ftruncate,close",
  "?rename,?renameat,renameat2,?link,linkat,?unlink,unlinkat,?mkdir,mkdirat",
].join(",");

export interface TraceOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Calls that are seen beside those of files and sockets that change something. */
  readonly calls?: readonly string[];
  /** strace's `-e inject=` arguments: "fdatasync:error=EIO:when=2". */
  readonly inject?: readonly string[];
  /** Only calls on these files are seen, and injected. */
  readonly paths?: readonly string[];
  /** Bytes of what is written that `text` has at most. Default 64. */
  readonly textBytes?: number;
  /** Milliseconds after which the program is killed. Default 30,000. */
  readonly timeoutMs?: number;
}

/** How the program ended, and what it did. */
export interface TraceRun {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly calls: readonly TracedCall[];
}

/** A program under trace. `program` is the program itself, not strace: signal it, talk to it. */
export interface Trace {
  readonly program: ChildProcess;
  readonly finished: Promise<TraceRun>;
}

/** Runs a command to its end under strace. */
export async function runTraced(
  command: readonly string[],
  options: TraceOptions = {},
): Promise<TraceRun> {
  const trace = await startTraced(command, options);
  return trace.finished;
}

/** Starts a command under strace. Throws if there is no strace. */
export async function startTraced(
  command: readonly string[],
  options: TraceOptions = {},
): Promise<Trace> {
  const folder = await mkdtemp(join(tmpdir(), "kvix-trace-"));
  const logPath = join(folder, "strace.log");
  const program = spawn("strace", [...straceArguments(logPath, options), "--", ...command], {
    cwd: options.cwd,
    env: { ...plainEnvironment(), ...options.env, UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const timer = setTimeout(() => program.kill("SIGKILL"), options.timeoutMs ?? 30_000);
  const finished = finish(program, folder, logPath).finally(() => clearTimeout(timer));
  return { program, finished };
}

/** `-D`: strace stands aside, so the process that was spawned is the program. */
function straceArguments(logPath: string, options: TraceOptions): string[] {
  const texts = ["-s", String(options.textBytes ?? 64)];
  const injections = (options.inject ?? []).flatMap((what) => ["-e", `inject=${what}`]);
  const paths = (options.paths ?? []).flatMap((path) => ["-P", path]);
  const calls = ["-e", `trace=${[tracedCalls, ...(options.calls ?? [])].join(",")}`];
  return ["-D", "-f", "-y", ...texts, "-o", logPath, ...paths, ...calls, ...injections];
}

async function finish(program: ChildProcess, folder: string, logPath: string): Promise<TraceRun> {
  let stdout = "";
  let stderr = "";
  program.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  program.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  try {
    // "close" comes when strace too, which shares the pipes, has gone: its log is complete.
    await new Promise<void>((resolve, reject) => {
      program.once("close", () => resolve());
      program.once("error", (cause) => {
        reject(new Error("strace did not start; this test needs it (package strace)", { cause }));
      });
    });
    const calls = parseTrace(await readFile(logPath, "utf8"));
    if (calls.length === 0) throw new Error(`strace saw no call: ${stderr}`);
    const { exitCode, signalCode } = program;
    return { exitCode, signal: signalCode, stdout, stderr, calls };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A call that another thread came between. */
interface Unfinished {
  readonly line: number;
  readonly text: string;
}

/** Reads strace's log, in the order in which the calls began. Throws on a line that it does not know. */
export function parseTrace(log: string): TracedCall[] {
  const calls: TracedCall[] = [];
  const unfinished = new Map<string, Unfinished>();
  for (const [line, text] of log.split("\n").entries()) {
    const [, pid = "", rest = ""] = /^(\d+) +(.*)$/s.exec(text) ?? [];
    if (text === "" || rest.startsWith("+++ ") || rest.startsWith("--- ")) continue;
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/s.exec(rest);
    const begun = unfinished.get(pid);
    if (resumed !== null && begun !== undefined) {
      unfinished.delete(pid);
      calls.push(parseCall(pid, begun.text + resumed[1], begun.line, line));
    } else if (rest.endsWith(" <unfinished ...>")) {
      unfinished.set(pid, { line, text: rest.slice(0, -" <unfinished ...>".length) });
    } else {
      calls.push(parseCall(pid, rest.replace(" <unfinished ...>) = ?", ") = ?"), line, line));
    }
  }
  for (const [pid, { line, text }] of unfinished) {
    calls.push(parseCall(pid, `${text}) = ?`, line, line));
  }
  return calls.sort((one, other) => one.started - other.started);
}

const callShape = /^(\w+)\((.*)\)\s+= (-?\d+|\?)(?:<[^>]*>)?(?:\(deleted\))? ?([A-Z][A-Z0-9]+)?/s;
const descriptorShape = /^(\d+)(?:<([^>]*)>)?/;
const pathShape = /(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"/g;
const writeCalls: ReadonlySet<string> = new Set([
  "write",
  "pwrite64",
  "writev",
  "pwritev",
  "sendto",
  "sendmsg",
]);

function parseCall(pid: string, text: string, started: number, line: number): TracedCall {
  const shape = callShape.exec(text);
  if (shape === null) throw new Error(`line ${line} of the trace is unknown: ${text}`);
  const [, call = "", given = "", result = "", error] = shape;
  const descriptor = descriptorShape.exec(given);
  const quoted = [...given.matchAll(pathShape)];
  const isWrite = writeCalls.has(call);
  const paths = isWrite ? [] : quoted.map(([, folder, path = ""]) => absolute(folder, path));
  const written = quoted.map(([, , bytes = ""]) => unescaped(bytes)).join("");
  const descriptorPath = descriptor?.[2] === undefined ? undefined : unescaped(descriptor[2]);
  const hasReturned = result !== "?";
  return {
    pid: Number(pid),
    call,
    given,
    descriptor: descriptor === null ? undefined : Number(descriptor[1]),
    path: paths.length > 0 ? paths[0] : descriptorPath,
    target: paths[1],
    text: isWrite ? written : undefined,
    result: hasReturned ? Number(result) : undefined,
    error,
    started,
    returned: hasReturned ? line : undefined,
  };
}

function absolute(folder: string | undefined, path: string): string {
  const plain = unescaped(path);
  return folder === undefined || plain.startsWith("/") ? plain : join(unescaped(folder), plain);
}

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  v: "\v",
  f: "\f",
};

/** Bytes as strace shows them, one character a byte. */
function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))/gs, (_, hex, octal, other) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
    return escapes[other] ?? other;
  });
}
