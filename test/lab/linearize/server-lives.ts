/**
 * The servers of a run, one after the other on one data directory: the real command in
 * a process of its own, behind a proxy if the plan says so.
 *
 *     start -> serving -> kill -9 | SIGTERM -> ended
 */

import { ServerProcess } from "../../support/server-process.js";
import type { SimRandom } from "../../support/sim-random.js";
import { CuttingProxy } from "./cutting-proxy.js";
import type { Plan } from "./plan.js";

/** A server that serves. */
export interface LiveServer {
  /** "HOST:PORT", where clients find it. */
  readonly address: string;
  /** Holds it for so long; false: nothing was held. */
  pause(ms: number): Promise<boolean>;
  /** Breaks a connection; false: there was none to break. */
  cut(): boolean;
  /** Ends it; what was wrong with its end and its log. */
  end(how: "kill" | "stop"): Promise<readonly string[]>;
}

/** Starts the next life. */
export type StartServer = () => Promise<LiveServer>;

/** On a busy machine a start takes its time. */
const startMsMax = 120_000;
/** Lines of a log that a finding quotes. */
const logLinesMax = 5;
const errorLevel = 50;

/** The real server over `dataDir`, as the plan wants it. */
export function realServers(dataDir: string, plan: Plan, random: SimRandom): StartServer {
  return async () => {
    const server = ServerProcess.launch(dataDir, plan.serverFlags, { startMsMax });
    await server.serving;
    if (!plan.isProxied) return new RealServer(server, undefined);
    return new RealServer(server, await CuttingProxy.start(server.address, random));
  };
}

class RealServer implements LiveServer {
  readonly address: string;
  readonly #server: ServerProcess;
  readonly #proxy: CuttingProxy | undefined;
  #hasEnded = false;
  #wasEnded = false;

  constructor(server: ServerProcess, proxy: CuttingProxy | undefined) {
    this.#server = server;
    this.#proxy = proxy;
    this.address = proxy?.address ?? server.address;
    void server.exited.then(() => {
      this.#hasEnded = true;
    });
  }

  async pause(ms: number): Promise<boolean> {
    if (this.#hasEnded || this.#wasEnded) return false;
    this.#server.signal("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#server.signal("SIGCONT");
    return true;
  }

  cut(): boolean {
    return this.#proxy?.cut() ?? false;
  }

  async end(how: "kill" | "stop"): Promise<readonly string[]> {
    const endedByItself = this.#hasEnded && !this.#wasEnded;
    this.#wasEnded = true;
    const { code, signal } = await this.#server.end(how === "kill" ? "SIGKILL" : "SIGTERM");
    this.#proxy?.close();
    const faults = this.#logFaults();
    if (endedByItself) faults.push(`the server ended by itself: ${signal ?? `code ${code}`}`);
    else if (how === "stop" && code !== 0) faults.push(`a stop ended with ${signal ?? code}`);
    return faults;
  }

  /** What it logged as an error. */
  #logFaults(): string[] {
    const isFault = ({ level, notJson }: Readonly<Record<string, unknown>>) =>
      notJson !== undefined || level === "error" || Number(level) >= errorLevel;
    const lines = this.#server.log.filter(isFault).slice(0, logLinesMax);
    return lines.map((line) => `the server logged: ${JSON.stringify(line)}`);
  }
}
