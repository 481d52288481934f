/**
 * The traced program as a process: started alone, and watched from the moment on at
 * which it is ready, so that no call of Node's own start is counted.
 *
 *     started -> ready, says its threads -> strace attached -> told to begin -> ended
 *
 * strace counts the calls of each thread for itself (`when=`). So a fault is put into
 * one thread, which alone is traced; a recording is of all threads.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { plainEnvironment } from "../../support/plain-environment.js";
import { parseTrace, type TracedCall } from "../../support/syscall-trace.js";
import { type Line, linesOf } from "./transcript.js";

/** Which of its threads: that of the event loop, or the one for file operations. */
export type ThreadName = "main" | "pool";

/** A fault in one thread; at most one for a thread. */
export interface Injection {
  readonly thread: ThreadName;
  /** The system call. */
  readonly call: string;
  /** strace's way to say what befalls it, and when: "error=EIO:when=3". */
  readonly what: string;
}

/** What is done to the program while it lives. */
export type Treatment =
  /** Every call of every thread is recorded, with all its bytes; `inject`: as for strace. */
  | { readonly kind: "record"; readonly inject?: string }
  | { readonly kind: "inject"; readonly injections: readonly Injection[] }
  /** No file may grow beyond so many bytes; until the first refusal, or for good. */
  | { readonly kind: "limit"; readonly fileBytesMax: number; readonly isLifted: boolean }
  | { readonly kind: "nothing" };

/** What came of it. */
export interface SubjectRun {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly Line[];
  readonly stderr: string;
  /** Of a recording. */
  readonly calls: readonly TracedCall[];
  readonly mainThread: number;
  readonly poolThread: number;
  /** Whether the treatment met the program at all. */
  readonly wasMet: boolean;
  /** The calls that were refused, as strace shows them: which file it was can differ from life to life. */
  readonly refusedCalls: readonly string[];
}

/** A program that lives longer has hung; in milliseconds. */
const lifeMsMax = 120_000;
/** More than any write of a life has. */
const textBytesMax = 2 ** 21;
const programPath = fileURLToPath(new URL("program.js", import.meta.url));
/** Calls by which files change; one that is recorded and not understood is an error. */
export const fileCalls = [
  "openat,open,?openat2,creat,write,pwrite64,writev,pwritev,?pwritev2,fdatasync,fsync,sync",
  "?syncfs,sync_file_range,ftruncate,truncate,fallocate,close,rename,renameat,?renameat2,link",
  "linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,?copy_file_range,sendfile,splice",
].join(",");

/** How the program is started. */
export interface SubjectOptions {
  readonly dataDir: string;
  /** A name, or the seed of a life. */
  readonly life: string;
  readonly wallMs: number;
  /** The number of its first write. */
  readonly first: number;
  /** Where strace's log goes. */
  readonly logPath: string;
  /** Ends the program, when nobody wants to know any more. */
  readonly signal: AbortSignal;
}

/** Runs the program to its end. Throws where it cannot be traced. */
export async function runSubject(
  options: SubjectOptions,
  treatment: Treatment,
): Promise<SubjectRun> {
  return await new Subject(options, treatment).run();
}

class Subject {
  readonly #options: SubjectOptions;
  readonly #treatment: Treatment;
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #tracers: { process: ChildProcess; ended: Promise<void>; logPath: string }[] = [];
  #stdout = "";
  #stderr = "";
  #onOutput: () => void = () => undefined;
  #isLimited = false;

  constructor(options: SubjectOptions, treatment: Treatment) {
    this.#options = options;
    this.#treatment = treatment;
    const { dataDir, life, wallMs, first } = options;
    const command = [programPath, dataDir, life, String(wallMs), String(first)];
    this.#process = spawn(process.execPath, command, {
      env: { ...plainEnvironment(), UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#onOutput();
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#process.stdin?.on("error", () => undefined);
    this.#ended = new Promise((resolve, reject) => {
      this.#process.once("close", () => resolve());
      this.#process.once("error", reject);
    });
  }

  async run(): Promise<SubjectRun> {
    const end = (): void => void this.#process.kill("SIGKILL");
    const timer = setTimeout(end, lifeMsMax);
    this.#options.signal.addEventListener("abort", end, { once: true });
    try {
      const ready = await this.#untilReady();
      await this.#treat(ready);
      this.#process.stdin?.end("begin\n");
      await this.#ended;
      for (const { ended } of this.#tracers) await ended;
      return this.#result(ready);
    } finally {
      clearTimeout(timer);
      this.#options.signal.removeEventListener("abort", end);
      end();
      for (const tracer of this.#tracers) {
        tracer.process.kill("SIGKILL");
        rmSync(tracer.logPath, { force: true });
      }
    }
  }

  async #untilReady(): Promise<Extract<Line, { at: "ready" }>> {
    const told = new Promise<void>((resolve) => {
      this.#onOutput = () => {
        if (this.#stdout.includes("\n")) resolve();
      };
    });
    await Promise.race([told, this.#ended]);
    this.#onOutput = () => undefined;
    const [first] = linesOf(this.#stdout);
    if (first?.at !== "ready") throw new Error(`the program did not start: ${this.#stderr}`);
    return first;
  }

  async #treat(ready: Extract<Line, { at: "ready" }>): Promise<void> {
    const treatment = this.#treatment;
    switch (treatment.kind) {
      case "nothing":
        return;
      case "record": {
        const inject = treatment.inject === undefined ? [] : ["-e", `inject=${treatment.inject}`];
        const how = ["-f", "-y", "-s", String(textBytesMax), "-e", `trace=${fileCalls}`];
        return await this.#attach([...how, ...inject], ready.mainThread);
      }
      case "inject":
        for (const { thread, call, what } of treatment.injections) {
          const how = ["-y", "-e", `trace=${call}`, "-e", `inject=${call}:${what}`];
          await this.#attach(how, thread === "main" ? ready.mainThread : ready.poolThread);
        }
        return;
      case "limit":
        this.#limitFiles(String(treatment.fileBytesMax));
        this.#isLimited = true;
        if (treatment.isLifted) this.#liftAtRefusal();
        return;
    }
  }

  /** strace says that it is there, or why not. */
  async #attach(how: readonly string[], thread: number): Promise<void> {
    const logPath = `${this.#options.logPath}.${this.#tracers.length}`;
    const tracer = spawn("strace", [...how, "-o", logPath, "-p", String(thread)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    const attached = new Promise<void>((resolve) => {
      tracer.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (/ attached\b/.test(said)) resolve();
      });
    });
    const ended = new Promise<void>((resolve, reject) => {
      tracer.once("close", () => resolve());
      tracer.once("error", (cause) => {
        reject(new Error("strace did not start (package strace)", { cause }));
      });
    });
    this.#tracers.push({ process: tracer, ended, logPath });
    await Promise.race([
      attached,
      ended.then(() => {
        throw new Error(`strace could not attach to a process of this user: ${said}`);
      }),
    ]);
  }

  /** The soft limit alone: it can be lifted again. */
  #limitFiles(bytes: string): void {
    const { status, error, stderr } = spawnSync(
      "prlimit",
      ["--pid", String(this.#process.pid), `--fsize=${bytes}:unlimited`],
      { encoding: "utf8" },
    );
    if (error !== undefined)
      throw new Error("prlimit did not start (package util-linux)", { cause: error });
    if (status !== 0 && this.#process.exitCode === null) throw new Error(`prlimit: ${stderr}`);
  }

  #liftAtRefusal(): void {
    this.#onOutput = () => {
      if (!/"at":"(reject|refused)"/.test(this.#stdout)) return;
      this.#onOutput = () => undefined;
      if (this.#process.exitCode === null) this.#limitFiles("unlimited");
    };
  }

  #result({ mainThread, poolThread }: Extract<Line, { at: "ready" }>): SubjectRun {
    const { exitCode, signalCode: signal } = this.#process;
    const log = this.#tracers.map(({ logPath }) => readFileSync(logPath, "utf8")).join("");
    const isRecorded = this.#treatment.kind === "record";
    const isDead = signal === "SIGKILL";
    return {
      exitCode,
      signal,
      lines: linesOf(this.#stdout),
      stderr: this.#stderr,
      calls: isRecorded ? parseTrace(log) : [],
      mainThread,
      poolThread,
      wasMet: isRecorded || this.#isLimited || isDead || log.includes("(INJECTED)"),
      refusedCalls: log.split("\n").filter((line) => line.endsWith("(INJECTED)")),
    };
  }
}
