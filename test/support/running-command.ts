/** A `kvix` that goes on: what it says is read line by line while it runs. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { commandPath } from "./command-run.js";
import { plainEnvironment } from "./plain-environment.js";

/** One run. Only the process that was started here is ever signalled. */
export class RunningCommand {
  /** The lines so far. */
  readonly out: string[] = [];
  readonly err: string[] = [];
  /** Resolves to the exit code when it has ended and all was read. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #isOver = false;
  #wake: () => void = () => undefined;

  /** Starts it; `address`: the server that it calls. */
  constructor(args: readonly string[], address: string) {
    const child = spawn(process.execPath, [commandPath, ...args], {
      env: { ...plainEnvironment(), KVIX_ENDPOINT: address },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#read(child.stdout, this.out);
    this.#read(child.stderr, this.err);
    this.ended = new Promise((resolve) => {
      child.once("close", (code) => {
        this.#isOver = true;
        this.#wake();
        resolve(code);
      });
    });
  }

  /** Resolves as soon as `isThere`; throws if the command ends before. */
  async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      if (this.#isOver) throw new Error(`it ended: ${[...this.out, ...this.err].join("\n")}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  #read(stream: Readable, lines: string[]): void {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      this.#wake();
    });
  }
}
