/** What uploads take of a server's memory, in little; the bench upload-memory has the large figure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { AdminService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";
import { UploadCall, uploadClient } from "../support/upload-call.js";

const MiB = 1024 * 1024;
const uploads = 6;
const chunks = 32;

test("uploads under way take the memory of a few of their chunks, not of their values (V11)", {
  timeout: 300_000,
}, async (t) => {
  const folder = makeFolder();
  const server = ServerProcess.launch(folder.path, [], { startMsMax: 120_000 });
  await server.serving;
  const [admin, client] = [new RpcClient(server.address), uploadClient(server.address)];
  t.after(async () => {
    admin.close();
    client.close();
    await server.end("SIGTERM");
    folder.remove();
  });
  const residentBytes = async (): Promise<number> =>
    Number((await admin.call(AdminService.method.stats, {})).residentBytes);
  const chunk = Buffer.alloc(MiB, "bytes of an upload. ");
  const idleBytes = await residentBytes();
  let mostBytes = 0;
  const one = async (number: number): Promise<boolean> => {
    const call = new UploadCall(client);
    void call.header({ key: Buffer.from(`k${number}`), valueBytes: BigInt(chunks * MiB) });
    let checksum = 0;
    for (let count = 0; count < chunks; count += 1) {
      await call.chunk(chunk);
      checksum = crc32(chunk, checksum);
      if (count % 8 === 0) mostBytes = Math.max(mostBytes, await residentBytes());
    }
    void call.part({ case: "end", value: { crc32: checksum } });
    call.close();
    const { applied } = await call.answer;
    mostBytes = Math.max(mostBytes, await residentBytes());
    return applied;
  };
  const applied = await Promise.all(Array.from({ length: uploads }, (_, number) => one(number)));
  assert.ok(applied.every(Boolean));
  const grownMiB = (mostBytes - idleBytes) / MiB;
  // Their values together have 192 MiB.
  assert.ok(grownMiB > 0 && grownMiB < 120, `${grownMiB} MiB`);
});
