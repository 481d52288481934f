/** TLS, with and without certificates of clients; and channelz. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { Channelz } from "../../gen/grpc/channelz/v1/channelz_pb.js";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { methodDefinition } from "../../src/rpc/definition.js";
import { repositoryRoot } from "../support/paths.js";
import { startMemoryServer } from "./memory-server.js";

const timeout = 30_000;
const path = (name: string) => join(repositoryRoot, "test", "fixtures", "tls", name);
const read = (name: string) => readFileSync(path(name));
const tls = { tlsCert: path("server.pem"), tlsKey: path("server-key.pem") };

/** One Get over TLS; with a client's certificate if `isKnown`. */
function getOver(t: TestContext, address: string, isKnown: boolean): Promise<unknown> {
  const pair = isKnown ? ([read("client-key.pem"), read("client.pem")] as const) : ([] as const);
  // By its name: Node 26 lets nobody ask for a server by an address.
  const options = { "grpc.ssl_target_name_override": "localhost" };
  const client = new Client(address, credentials.createSsl(read("ca.pem"), ...pair), options);
  t.after(() => client.close());
  const { get } = KvService.method;
  const { path: rpc, requestSerialize, responseDeserialize } = methodDefinition(get, get);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      rpc,
      requestSerialize,
      responseDeserialize,
      { $typeName: "kvix.v1.GetRequest", key: Buffer.from("k") } as never,
      { deadline: Date.now() + 5000 },
      (error: ServiceError | null, answer: unknown) =>
        error === null ? resolve(answer) : reject(error),
    );
  });
}

test("with certificate and key it speaks TLS, and nothing else", { timeout }, async (t) => {
  const { address, client } = await startMemoryServer(t, { options: tls });
  assert.ok(await getOver(t, address, false));
  const plain = client.call(
    KvService.method.get,
    { key: Buffer.from("k") },
    { deadlineMs: Date.now() + 5000 },
  );
  await assert.rejects(plain, { code: 14 });
});

test("with an authority for clients only those that it signed are served", {
  timeout,
}, async (t) => {
  const options = { ...tls, tlsClientCa: path("ca.pem") };
  const { address } = await startMemoryServer(t, { options });
  assert.ok(await getOver(t, address, true));
  await assert.rejects(getOver(t, address, false), { code: 14 });
});

test("a file that is not there, or is none of TLS's, is an error that names the option", async (t) => {
  for (const [options, option] of [
    [{ ...tls, tlsCert: path("nothing.pem") }, "tlsCert"],
    [{ ...tls, tlsKey: path("nothing.pem") }, "tlsKey"],
    [{ ...tls, tlsClientCa: path("nothing.pem") }, "tlsClientCa"],
    [{ ...tls, tlsKey: path("ca.pem") }, "tlsCert"],
  ] as const) {
    const error: unknown = await startMemoryServer(t, { options }).catch((thrown) => thrown);
    assert.ok(error instanceof KvixError, String(error));
    assert.equal(error.reason, "OPTION_INVALID");
    assert.ok(error.message.includes(option), error.message);
  }
});

test("channelz is served when it is asked for, and is not there otherwise", {
  timeout,
}, async (t) => {
  const { getServers } = Channelz.method;
  const shown = await startMemoryServer(t, { options: { channelz: true } });
  await shown.client.call(KvService.method.get, { key: Buffer.from("k") });
  const { server } = await shown.client.call(getServers, {});
  assert.ok(server.some(({ data }) => (data?.callsStarted ?? 0n) >= 2n));
  const hidden = await startMemoryServer(t);
  await assert.rejects(hidden.client.call(getServers, {}), { code: 12 });
});
