/** AdminService: what operators ask, and what they are told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../support/foreign-client.js";
import { base64, type World } from "./suite.js";

export function adminScenario({ call }: World): void {
  test("GetStatus says what runs, what it allows and how it is", async () => {
    const status = await call("AdminService/GetStatus", {});
    assert.match(status["kvixVersion"] as string, /^\d+\.\d+\.\d+/);
    assert.equal(status["nodeVersion"], process.version);
    assert.equal(status["platform"], `${process.platform} ${process.arch}`);
    assert.equal(status["state"], "SERVER_STATE_SERVING");
    assert.equal(status["reasons"], undefined);
    assert.equal(status["durability"], "DURABILITY_SYNC");
    assert.equal(status["flushInterval"], "0.100s");
    const limits = status["limits"] as Json;
    assert.deepEqual(
      [limits["keyBytesMax"], limits["valueBytesMax"], limits["messageBytesMax"]],
      [65_535, 104_857_600, 4_194_304],
    );
    assert.deepEqual([limits["pageSizeMax"], limits["pageBytesMax"]], [10_000, 4_194_304]);
    for (const feature of ["admin", "compact", "list", "touch"]) {
      assert.ok((status["features"] as string[]).includes(feature), feature);
    }
    assert.ok(Math.abs(Date.parse(status["startTime"] as string) - Date.now()) < 3_600_000);
    assert.match(status["uptime"] as string, /^\d+(\.\d+)?s$/);
    assert.deepEqual([status["damage"], status["damageCount"]], [undefined, undefined]);
  });

  test("Stats counts what was written since, and each rpc", async () => {
    const before = await call("AdminService/Stats", {});
    const key = base64("admin-stats");
    await call("KvService/Set", { key, value: base64("x".repeat(1000)) });
    const after = await call("AdminService/Stats", {});
    const rise = (name: string): number => Number(after[name] ?? 0) - Number(before[name] ?? 0);
    assert.equal(rise("keys"), 1);
    assert.equal(rise("storeVersion"), 1);
    assert.ok(rise("liveBytes") > 1000 && rise("appendedBytes") > 1000 && rise("syncs") >= 1);
    assert.equal(after["durableVersion"], after["storeVersion"]);
    assert.ok(Number(after["indexBytes"]) > 0 && Number(after["residentBytes"]) > 0);
    assert.ok((after["open"] as Json)["duration"] !== undefined);
    const callsOf = (stats: Json): number => {
      const counts = (stats["rpcs"] ?? []) as Json[];
      const sets = counts.find(({ method }) => String(method).endsWith("KvService/Set"));
      return Number(sets?.["calls"] ?? 0);
    };
    assert.equal(callsOf(after) - callsOf(before), 1);
  });

  test("ListSegments names the files, page by page", async () => {
    const { segments, storeVersion } = await call("AdminService/ListSegments", {});
    const [first] = segments as Json[];
    assert.ok(first);
    assert.match(first["file"] as string, /^segment_\d{5}_\d+\.seg$/);
    assert.equal((segments as Json[]).at(-1)?.["state"], "SEGMENT_STATE_ACTIVE");
    assert.ok(Number(first["sizeBytes"]) >= Number(first["liveBytes"] ?? 0));
    assert.ok(Number(first["lowestVersion"]) <= Number(storeVersion));
    const page = await call("AdminService/ListSegments", { pageSize: 1 });
    assert.equal((page["segments"] as Json[]).length, 1);
  });

  test("Sync makes what was acknowledged as buffered durable (D4)", async () => {
    const key = base64("admin-sync");
    const written = await call("KvService/Set", { key, value: "MQ==", durability: 2 });
    const { durableVersion } = await call("AdminService/Sync", {});
    assert.ok(BigInt(durableVersion as string) >= BigInt(written["version"] as string));
  });
  test("Compact tells to its end what it does, and Stats tells its state", async () => {
    const { progress, storeVersion } = await call("AdminService/Compact", {});
    const { phase, outcome, shareDone, why } = progress as Json;
    assert.deepEqual([phase, shareDone, why], ["COMPACTION_PHASE_DONE", 1, undefined]);
    const good = ["COMPACTION_OUTCOME_COMPLETED", "COMPACTION_OUTCOME_NOTHING_TO_DO"];
    assert.ok(good.includes(outcome as string), String(outcome));
    assert.ok(BigInt(storeVersion as string) > 0n);
    for (const rpc of ["AdminService/Stats", "AdminService/GetStatus"]) {
      const { state } = (await call(rpc, {}))["compaction"] as Json;
      assert.match(state as string, /^COMPACTION_STATE_(OFF|IDLE|RUNNING)$/, rpc);
    }
  });
}
