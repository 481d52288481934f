/**
 * A gRPC client of another language: a program of test/clients in a process of
 * its own, which makes the calls it is told over its standard input and says
 * what became of each.
 *
 *     { id, service, method, request | raw, ... }  ->  driver  ->  { id, response | error }
 *
 * Only the process that was started here is ever signalled.
 */
import { strict as assert } from "node:assert";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A program and what it is started with, before the address of the server. */
export interface Driver {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** A message in protobuf's JSON: camelCase, bytes in base64, 64-bit numbers as text. */
export type Json = Readonly<Record<string, unknown>>;

/** How a call differs from a plain one. */
export interface CallOptions {
  /** Bytes to send in place of the encoded request, in base64; what is answered is not decoded. */
  readonly raw?: string;
  /** What to send on a call whose requests are a stream; `request` is then left aside. */
  readonly requests?: readonly Json[];
  readonly timeoutMs?: number;
  readonly gzip?: boolean;
  readonly waitForReady?: boolean;
}

/** A status with its details, as the other language decoded them. */
export interface ForeignError {
  /** The status's name in google.rpc.Code, for example DATA_LOSS. */
  readonly code: string;
  readonly message: string;
  /** The messages of the details, each with the name of its type under "type". */
  readonly details: readonly Json[];
}

interface Outcome {
  readonly id: number;
  readonly response?: Json;
  readonly error?: ForeignError;
}

/** A driver that runs. */
export class ForeignClient {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();
  readonly #exited: Promise<number | null>;
  #calls = 0;
  #stderr = "";
  #hasEnded = false;

  constructor({ program, args, env = process.env }: Driver, address: string) {
    const child = spawn(program, [...args, address], { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4000);
    });
    child.stdin.on("error", () => undefined);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const outcome = JSON.parse(line) as Outcome;
      this.#waiting.get(outcome.id)?.(outcome);
      this.#waiting.delete(outcome.id);
    });
    this.#exited = new Promise((resolve) => {
      child.once("error", () => resolve(null));
      child.once("close", (code) => resolve(code));
    });
    void this.#exited.then((code) => {
      this.#hasEnded = true;
      const message = `the driver ended with ${code}: ${this.#stderr}`;
      const error = { code: "(ended)", message, details: [] };
      for (const [id, settle] of this.#waiting) settle({ id, error });
    });
  }

  /** Makes a call that is to be answered. */
  async call(service: string, method: string, request: Json, options: CallOptions = {}) {
    const { response, error } = await this.#make(service, method, request, options);
    assert.ok(response, `${service}/${method}: ${error?.code}: ${error?.message}`);
    return response;
  }

  /** Makes a call that is to be refused. */
  async refused(service: string, method: string, request: Json, options: CallOptions = {}) {
    const { response, error } = await this.#make(service, method, request, options);
    assert.ok(error, `${service}/${method} was answered: ${JSON.stringify(response)}`);
    assert.notEqual(error.code, "(ended)", error.message);
    return error;
  }

  /** Lets it finish what is under way, and fails unless it ends well. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    assert.equal(await this.#exited, 0, this.#stderr);
    clearTimeout(timer);
  }

  #make(service: string, method: string, request: Json, options: CallOptions): Promise<Outcome> {
    this.#calls += 1;
    const id = this.#calls;
    const call = { id, service, method, request, ...options };
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      if (this.#hasEnded) resolve({ id, error: { code: "(ended)", message: "", details: [] } });
      else this.#child.stdin?.write(`${JSON.stringify(call)}\n`);
    });
  }
}
