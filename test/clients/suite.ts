/**
 * What every client of another language is put through, against the real
 * command: one server, one channel of the client, every scenario.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import {
  type CallOptions,
  type Driver,
  ForeignClient,
  type ForeignError,
  type Json,
} from "../support/foreign-client.js";
import { ServerProcess } from "../support/server-process.js";
import { adminScenario } from "./admin-scenario.js";
import { commitScenario } from "./commit-scenario.js";
import { lifeScenario } from "./life-scenario.js";
import { listScenario } from "./list-scenario.js";
import { pipelineScenario } from "./pipeline-scenario.js";
import { rangeScenario } from "./range-scenario.js";
import { refusalScenario } from "./refusal-scenario.js";
import { textScenario } from "./text-scenario.js";
import { transferScenario } from "./transfer-scenario.js";
import { watchScenario } from "./watch-scenario.js";
import { writeScenario } from "./write-scenario.js";

/** What a scenario works with: calls by the names of service and method, and the server. */
export interface World {
  call(rpc: string, request: Json, options?: CallOptions): Promise<Json>;
  refused(rpc: string, request: Json, options?: CallOptions): Promise<ForeignError>;
  /** Ends the server with a signal and starts another one at the same address, with these flags. */
  restart(signal: NodeJS.Signals, ...flags: readonly string[]): Promise<void>;
}

/** A text as `bytes` are in protobuf's JSON. */
export const base64 = (text: string | readonly number[]): string =>
  Buffer.from(text as string).toString("base64");

/** The suite of a language; `prepare` may take minutes the first time. */
export function clientSuite(
  language: string,
  prepare: () => Promise<{ driver: Driver; folder: string }>,
): void {
  describe(language, { timeout: 900_000 }, () => {
    let dataDir = "";
    let folder = "";
    let server: ServerProcess;
    let client: ForeignClient;

    before(async () => {
      const prepared = await prepare();
      folder = prepared.folder;
      dataDir = mkdtempSync(join(tmpdir(), "kvix-clients-"));
      server = await ServerProcess.start(dataDir);
      client = new ForeignClient(prepared.driver, server.address);
    });

    after(async () => {
      try {
        await client.end();
        await server.end("SIGTERM");
      } finally {
        for (const each of [dataDir, folder]) rmSync(each, { recursive: true, force: true });
      }
    });

    const world: World = {
      call: (rpc, request, options) => {
        const [service = "", method = ""] = rpc.split("/");
        return client.call(service, method, request, options);
      },
      refused: (rpc, request, options) => {
        const [service = "", method = ""] = rpc.split("/");
        return client.refused(service, method, request, options);
      },
      restart: async (signal, ...flags) => {
        const { address } = server;
        await server.end(signal);
        server = await ServerProcess.start(dataDir, "--listen", address, ...flags);
      },
    };
    writeScenario(world);
    watchScenario(world);
    commitScenario(world);
    textScenario(world);
    listScenario(world);
    transferScenario(world);
    pipelineScenario(world);
    rangeScenario(world);
    adminScenario(world);
    refusalScenario(world);
    lifeScenario(world);
  });
}
