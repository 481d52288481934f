/** A scan that is given up in the middle. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type ScanRequest, ScanResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KEY_BYTES_MAX } from "../../src/base/limits.js";
import { connect, KvixError, type ScanOptions } from "../../src/client/connect.js";
import { refusal } from "../conformance/suite.js";
import { startFakeKv } from "./fake-kv.js";

const timeout = 60_000;

/** A client of a server whose scans end with SNAPSHOT_ENDED, or a cut, after each part but the last. */
async function scanning(
  t: TestContext,
  parts: readonly (readonly string[])[],
  options: ScanOptions,
  isCut = false,
) {
  const requests: ScanRequest[] = [];
  const fake = await startFakeKv(t, {
    scan: async function* (request: ScanRequest) {
      const keys = parts[requests.length] ?? [];
      requests.push(request);
      yield create(ScanResponseSchema, {
        records: keys.map((key) => ({ record: { key: Buffer.from(key), version: 1n } })),
        storeVersion: BigInt(requests.length),
      });
      if (requests.length === parts.length) return;
      if (!isCut) throw new KvixError("SNAPSHOT_ENDED");
      fake.cut();
      await new Promise(() => undefined);
    } as never,
  });
  const kvix = connect({ address: fake.address });
  t.after(() => kvix.close());
  return { requests, scan: kvix.scan(options) };
}

async function keysOf(scan: AsyncIterable<{ keyText(): string }>): Promise<string[]> {
  const keys: string[] = [];
  for await (const record of scan) keys.push(record.keyText());
  return keys;
}

test("a scan that is given up goes on behind its last key if that was allowed, and counts it (G-CLIENT-10)", {
  timeout,
}, async (t) => {
  for (const isCut of [false, true]) {
    const { scan, requests } = await scanning(
      t,
      [["p/a", "p/b"], ["p/c"]],
      { prefix: "p/", resume: true, limit: 5 },
      isCut,
    );
    assert.deepEqual(await keysOf(scan), ["p/a", "p/b", "p/c"]);
    assert.equal(scan.resumptions, 1);
    assert.equal(scan.version, 2);
    const [first, second] = requests;
    assert.equal(Buffer.from(first?.prefix ?? []).toString(), "p/");
    assert.equal(Buffer.from(second?.start ?? []).toString(), "p/b\0");
    assert.equal(Buffer.from(second?.end ?? []).toString(), "p0");
    assert.equal(second?.limit, 3n);
  }
});

test("behind the longest key it goes on with a bound that is no longer than a key may be (G-CLIENT-10)", {
  timeout,
}, async (t) => {
  const longest = `${"a".repeat(KEY_BYTES_MAX - 1)}b`;
  const { scan, requests } = await scanning(t, [[longest], ["b"]], { resume: true });
  assert.deepEqual(await keysOf(scan), [longest, "b"]);
  assert.equal(requests[1]?.start.length, KEY_BYTES_MAX);
  assert.equal(requests[1]?.start.at(-1), 0x63);
});

test("in reverse it goes on below its last key (G-CLIENT-10)", { timeout }, async (t) => {
  const options = { start: "a", reverse: true, resume: true };
  const { scan, requests } = await scanning(t, [["d", "c"], ["b"]], options);
  assert.deepEqual(await keysOf(scan), ["d", "c", "b"]);
  const [, second] = requests;
  assert.equal(Buffer.from(second?.start ?? []).toString(), "a");
  assert.equal(Buffer.from(second?.end ?? []).toString(), "c");
});

test("without leave to go on a scan throws, for it would be another point in time (G-CLIENT-10)", {
  timeout,
}, async (t) => {
  const { scan } = await scanning(t, [["a"], ["b"]], {});
  await refusal(keysOf(scan), "SNAPSHOT_ENDED");
  const cut = await scanning(t, [["a"], ["b"]], {}, true);
  await refusal(keysOf(cut.scan), "CONNECTION_LOST");
});

test("twenty streams at once are no leak to Node", { timeout }, async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => void warnings.push(name);
  process.on("warning", onWarning);
  t.after(() => process.off("warning", onWarning));
  const fake = await startFakeKv(t, {
    scan: async function* () {
      yield create(ScanResponseSchema, { records: [{ record: { key: Buffer.of(1) } }] });
      await new Promise(() => undefined);
    } as never,
  });
  const kvix = connect({ address: fake.address });
  const scans = Array.from({ length: 20 }, () => kvix.scan({})[Symbol.asyncIterator]());
  await Promise.all(scans.map((scan) => scan.next()));
  // A warning comes in a turn of its own.
  await new Promise((resolve) => setImmediate(resolve));
  await kvix.close();
  assert.deepEqual(warnings, []);
});
