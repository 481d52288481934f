/**
 * The real `kvix` command in a process of its own, as an operator runs it.
 *
 * It listens on a free port of the loopback; its log is read line by line. Only
 * the process that was started here is ever signalled.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { plainEnvironment } from "./plain-environment.js";

/** The compiled command beside these compiled tests. */
const commandPath = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

const START_MS_MAX = 30_000;

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a command that ends by itself said and did. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function runProgram(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = plainEnvironment(),
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Runs `kvix` with these arguments to its end. */
export function runKvix(...args: readonly string[]): Promise<CommandResult> {
  return runProgram(process.execPath, [commandPath, ...args]);
}

/** One line of the server's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** How a server is started beside its own options. */
export interface LaunchOptions {
  /** Words before the command: a program that becomes the server, such as prlimit. */
  readonly wrapper?: readonly string[];
  /** Options of Node. */
  readonly nodeFlags?: readonly string[];
  /** One that does not serve after so long is killed; in milliseconds. */
  readonly startMsMax?: number;
}

/** A server ended before it served, or did not serve in time. The message has its log. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  /** Undefined: it hung, and was killed. */
  readonly ending: Ending | undefined;

  constructor(why: string, ending: Ending | undefined, log: readonly LogLine[]) {
    super(`kvix serve ${why}: ${log.map((line) => JSON.stringify(line)).join("\n")}`);
    this.ending = ending;
  }
}

/** A `kvix serve`. */
export class ServerProcess {
  /** The log's lines so far, parsed. */
  readonly log: readonly LogLine[];
  readonly exited: Promise<Ending>;
  /** Resolves when it serves; rejects with a StartFailure. */
  readonly serving: Promise<void>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, startMsMax: number) {
    this.#child = child;
    const log: LogLine[] = [];
    this.log = log;
    this.exited = new Promise<Ending>((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
    this.serving = this.#awaitServing(log, startMsMax);
    // Who ends it before it serves need not look at this.
    this.serving.catch(() => undefined);
  }

  /** Starts a server over `dataDir` and does not wait. */
  static launch(
    dataDir: string,
    args: readonly string[] = [],
    { wrapper = [], nodeFlags = [], startMsMax = START_MS_MAX }: LaunchOptions = {},
  ): ServerProcess {
    const flags = ["serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0", ...args];
    const [program = "", ...words] = [
      ...wrapper,
      process.execPath,
      ...nodeFlags,
      commandPath,
      ...flags,
    ];
    const env = plainEnvironment();
    const child = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"], env });
    return new ServerProcess(child, startMsMax);
  }

  /** Starts a server over `dataDir` and waits until it serves. Fails if it ends before. */
  static async start(dataDir: string, ...args: readonly string[]): Promise<ServerProcess> {
    const server = ServerProcess.launch(dataDir, args);
    await server.serving;
    return server;
  }

  /** "HOST:PORT", as the start-up line says it. */
  get address(): string {
    return String(this.startLine["address"]);
  }

  /** The line that says that it serves. */
  get startLine(): LogLine {
    return this.log.find((line) => line["msg"] === "serving") ?? {};
  }

  /** The process's id. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How much memory the process has, in bytes; `highest`: the most it ever had (Linux only). */
  residentBytes(which: "now" | "highest" = "now"): number {
    const path = `/proc/${this.pid}/status`;
    if (existsSync(path)) {
      const name = which === "now" ? "VmRSS" : "VmHWM";
      const match = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync(path, "utf8"));
      return Number(match?.[1]) * 1024;
    }
    const ps = spawnSync("ps", ["-o", "rss=", "-p", String(this.pid)], { encoding: "utf8" });
    return Number(ps.stdout) * 1024;
  }

  /** Sends a signal and does not wait. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Sends a signal and waits for the end. */
  async end(name: NodeJS.Signals): Promise<Ending> {
    this.signal(name);
    return this.exited;
  }

  #awaitServing(log: LogLine[], startMsMax: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string, ending?: Ending) => reject(new StartFailure(why, ending, log));
      const timer = setTimeout(() => {
        fail("did not start in time");
        this.#child.kill("SIGKILL");
      }, startMsMax);
      this.#child.once("error", (error) => fail(`was not to be had: ${error.message}`));
      void this.exited.then((ending) => {
        clearTimeout(timer);
        fail("ended before it served", ending);
      });
      let rest = "";
      this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) log.push(parseLine(line));
        if (this.startLine["msg"] === undefined) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** A line that is no JSON is kept as it is, so that a test can complain of it. */
function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { notJson: line };
  }
}
