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

/** A `kvix serve` that serves. */
export class ServerProcess {
  /** The log's lines so far, parsed. */
  readonly log: readonly LogLine[];
  readonly exited: Promise<Ending>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, log: readonly LogLine[], exited: Promise<Ending>) {
    this.#child = child;
    this.log = log;
    this.exited = exited;
  }

  /** Starts a server over `dataDir` and waits until it serves. Fails if it ends before. */
  static async start(dataDir: string, ...args: readonly string[]): Promise<ServerProcess> {
    const flags = ["serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0", ...args];
    const stdio: ["ignore", "ignore", "pipe"] = ["ignore", "ignore", "pipe"];
    const env = plainEnvironment();
    const child = spawn(process.execPath, [commandPath, ...flags], { stdio, env });
    const log: LogLine[] = [];
    const exited = new Promise<Ending>((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
    const server = new ServerProcess(child, log, exited);
    await server.#awaitServing(log);
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

  #awaitServing(log: LogLine[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        reject(
          new Error(`kvix serve ${why}: ${log.map((line) => JSON.stringify(line)).join("\n")}`),
        );
      };
      const timer = setTimeout(() => {
        this.#child.kill("SIGKILL");
        fail("did not start in time");
      }, START_MS_MAX);
      void this.exited.then(() => {
        clearTimeout(timer);
        fail("ended before it served");
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
