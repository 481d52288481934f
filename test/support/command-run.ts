/**
 * One run of the real `kvix` command: what it is fed, what it says byte by
 * byte, how it ends. The variables that steer these tests do not reach it.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { runCommandLine } from "../../src/cli/command-line.js";
import { Output } from "../../src/cli/output.js";
import { plainEnvironment } from "./plain-environment.js";

/** The compiled command beside these compiled tests. */
export const commandPath = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** What a run may be given beside its arguments. */
export interface RunOptions {
  readonly input?: Uint8Array | string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** How a run ended. */
export interface RunResult {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs `kvix` to its end. */
export function run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [commandPath, ...args], {
      cwd: options.cwd,
      env: { ...plainEnvironment(), ...options.environment },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const stdout: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (piece: Buffer) => stdout.push(piece));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout: Buffer.concat(stdout), stderr }));
    // A command that reads no input may be gone before it is written.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/**
 * The same in this process, which spares the start of another one. What is
 * about processes, pipes and signals is to be run by `run`.
 */
export async function runInside(
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const out = new Sink();
  const err = new Sink();
  const code = await runCommandLine(args, {
    out: new Output(out),
    err: new Output(err),
    input: Readable.from([Buffer.from(options.input ?? "")]),
    environment: { ...plainEnvironment(), ...options.environment },
  });
  return { code, stdout: out.bytes, stderr: err.bytes.toString("utf8") };
}

/** Takes all that is written. */
class Sink extends Writable {
  readonly #pieces: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.#pieces.push(Buffer.from(piece));
    done();
  }
}

/** A `kvix` that talks to one server. */
export type Client = (args: readonly string[], options?: RunOptions) => Promise<RunResult>;

/** Runs of `kvix` with this endpoint in their environment, by `run` or `runInside`. */
export function clientOf(address: string, by: Client = run): Client {
  return (args, options = {}) =>
    by(args, { ...options, environment: { KVIX_ENDPOINT: address, ...options.environment } });
}

/** The JSON value that a run printed. */
export function jsonOf({ stdout }: RunResult): Readonly<Record<string, unknown>> {
  return JSON.parse(stdout.toString("utf8")) as Readonly<Record<string, unknown>>;
}

/** The JSON values that a run printed, one a line. */
export function jsonLinesOf({ stdout }: RunResult): Readonly<Record<string, unknown>>[] {
  const lines = stdout.toString("utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}

/** Text in the way the shell wants it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command as a function, and as an array for what runs in the background. */
const shellPrelude = [
  `KVIX=(${quoted(process.execPath)} ${quoted(commandPath)})`,
  `kvix() { "\${KVIX[@]}" "$@"; }`,
].join("\n");

/** Runs a line of the shell in which `kvix` is the command under test. */
export function runShell(line: string, options: RunOptions = {}): RunResult {
  const script = `${shellPrelude}\n${line}`;
  const { status, stdout, stderr } = spawnSync("bash", ["-o", "pipefail", "-c", script], {
    env: { ...plainEnvironment(), ...options.environment },
    input: options.input ?? "",
    cwd: options.cwd,
    maxBuffer: 2 ** 28,
  });
  return { code: status, stdout, stderr: stderr.toString("utf8") };
}

/**
 * Runs a line of the shell on a pseudo-terminal, made by script(1); stdout and
 * stderr come together, as a person sees them.
 */
export function runTerminal(
  line: string,
  options: RunOptions = {},
): { readonly code: number | null; readonly stdout: string } {
  const { status, stdout, error } = spawnSync("script", terminalArgs(line), {
    env: { ...plainEnvironment(), ...options.environment, TERM: "xterm" },
    input: "",
    cwd: options.cwd,
    encoding: "utf8",
  });
  if (error !== undefined) throw error;
  return { code: status, stdout: stdout.replaceAll("\r\n", "\n") };
}

/** The same beside this process, so that it can be typed into and its server may live here. */
export function openTerminal(
  line: string,
  options: RunOptions = {},
): ChildProcessWithoutNullStreams {
  return spawn("script", terminalArgs(line), {
    env: { ...plainEnvironment(), ...options.environment, TERM: "xterm" },
    cwd: options.cwd,
  });
}

function terminalArgs(line: string): string[] {
  const script = `${shellPrelude}\n${line}`;
  // script(1) starts the user's shell, which must not stay between: many a one dies of
  // the Ctrl-C that the command was told.
  return ["--quiet", "--return", "--command", `exec bash -c ${quoted(script)}`, "/dev/null"];
}
