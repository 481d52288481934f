/** A client that we did not write, against the real command: buf curl. Others are in test/clients. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bufCurl } from "../support/buf-curl.js";
import { type CommandResult, ServerProcess } from "../support/server-process.js";

const SERVICES = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "kvix.v1.AdminService",
  "kvix.v1.KvService",
  "kvix.v1.KvTextService",
];

let dataDir = "";
let server: ServerProcess;

before(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "kvix-e2e-"));
  server = await ServerProcess.start(dataDir);
});

after(async () => {
  await server.end("SIGTERM");
  rmSync(dataDir, { recursive: true, force: true });
});

function answerOf({ code, stdout, stderr }: CommandResult): Record<string, unknown> {
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe("buf curl", () => {
  const reflections = ["grpc-v1", "grpc-v1alpha"];

  for (const reflection of reflections) {
    test(`lists the services by reflection ${reflection}`, async () => {
      const protocol = ["--list-services", "--reflect-protocol", reflection];
      const { code, stdout } = await bufCurl(server.address, "", ...protocol);
      assert.equal(code, 0);
      assert.deepEqual(stdout.trim().split("\n").sort(), SERVICES);
    });

    test(`sets and gets text by reflection ${reflection}`, async () => {
      const key = `buf-${reflection}`;
      const call = (method: string, request: object) =>
        bufCurl(
          server.address,
          `kvix.v1.KvTextService/${method}`,
          ...["--reflect-protocol", reflection, "-d", JSON.stringify(request)],
        );
      const written = answerOf(await call("Set", { key, value: "grüße", ttl: "3600s" }));
      assert.equal(written["applied"], true);
      const { record } = answerOf(await call("Get", { key })) as { record: Record<string, string> };
      assert.equal(record["value"], "grüße");
      assert.equal(record["version"], written["version"]);
      assert.equal(record["expireTime"], written["expireTime"]);
      assert.equal(answerOf(await call("Exists", { key }))["exists"], true);
      assert.equal(answerOf(await call("Delete", { key }))["deleted"], true);
      assert.equal(answerOf(await call("Get", { key }))["record"], undefined);
    });
  }

  test("sets and gets bytes, which are base64 in its JSON", async () => {
    const call = (method: string, request: object) =>
      bufCurl(server.address, `kvix.v1.KvService/${method}`, "-d", JSON.stringify(request));
    const key = Buffer.from([0xff, 0x00]).toString("base64");
    const value = Buffer.from([0x80, 0x81]).toString("base64");
    assert.equal(answerOf(await call("Set", { key, value }))["applied"], true);
    const answer = answerOf(await call("Get", { key })) as { record: Record<string, string> };
    assert.equal(answer.record["value"], value);
  });

  test("shows the reason of an error", async () => {
    const request = ["-d", '{"key":"k","ttl":"-1s"}'];
    const { code, stderr } = await bufCurl(server.address, "kvix.v1.KvTextService/Set", ...request);
    assert.notEqual(code, 0);
    assert.match(stderr, /invalid_argument/);
    assert.match(stderr, /FIELD_INVALID: .*ttl must be more than zero/);
  });
});
