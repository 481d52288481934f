/** Stock grpcurl, the client that people reach for first, against the real command. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { grpcurl, installGrpcurl } from "../support/grpcurl.js";
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
  dataDir = mkdtempSync(join(tmpdir(), "kvix-clients-"));
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

describe("grpcurl", { timeout: 600_000 }, () => {
  before(installGrpcurl);

  test("lists the services", async () => {
    const { code, stdout } = await grpcurl(server.address, "list");
    assert.equal(code, 0);
    assert.deepEqual(stdout.trim().split("\n").sort(), SERVICES);
  });

  test("describes services, messages and fields with the proto's comments", async () => {
    const shown = async (symbol: string) =>
      (await grpcurl(server.address, "describe", symbol)).stdout;
    assert.match(await shown("kvix.v1.KvService"), /\/\/ Get reads one record\. A miss is OK/);
    assert.match(await shown("kvix.v1.Record"), /\/\/ The key: 1 to 65,535 bytes\./);
    assert.match(await shown("kvix.v1.KvTextService.Set"), /rpc Set/);
    assert.match(
      await shown("kvix.v1.Durability"),
      /\/\/ Acknowledged when fdatasync has returned/,
    );
  });

  test("sets, gets, refuses and deletes text", async () => {
    const call = (method: string, request: object) =>
      grpcurl("-d", JSON.stringify(request), server.address, `kvix.v1.KvTextService/${method}`);
    const key = "grpcurl";
    assert.equal(answerOf(await call("Set", { key, value: "1", durability: 2 }))["applied"], true);
    const precondition = { absent: true };
    const refused = answerOf(await call("Set", { key, value: "2", precondition }));
    assert.equal(refused["applied"], undefined);
    assert.equal((refused["current"] as Record<string, string>)["value"], "1");
    const keep = { key, value: "2", keep_ttl: true, return_previous: true };
    const replaced = answerOf(await call("Set", keep));
    assert.equal((replaced["previous"] as Record<string, string>)["value"], "1");
    assert.equal(answerOf(await call("Exists", { key }))["exists"], true);
    assert.equal(answerOf(await call("Delete", { key }))["deleted"], true);
    assert.equal(answerOf(await call("Get", { key }))["record"], undefined);
  });

  test("shows ErrorInfo and BadRequest in full, for reflection knows their types", async () => {
    const target = [server.address, "kvix.v1.KvTextService/Get"];
    const { code, stderr } = await grpcurl("-d", "{}", ...target);
    assert.notEqual(code, 0);
    assert.match(stderr, /Code: InvalidArgument/);
    assert.match(stderr, /"reason": "KEY_EMPTY"/);
    assert.match(stderr, /"outcome": "not-applied"/);
    assert.match(stderr, /"field": "key"/);
  });
});
