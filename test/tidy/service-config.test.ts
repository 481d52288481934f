/** The service config of the package against the contract and the catalogue of errors. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "../support/paths.js";
import {
  renderServiceConfig,
  repeatableRpcs,
  retryableStatuses,
  serviceConfigPath,
} from "./service-config.js";

const path = join(repositoryRoot, serviceConfigPath);

test("the service config is what contract and catalogue give", () => {
  if (process.env["KVIX_WRITE_PAGES"] === "1") writeFileSync(path, renderServiceConfig());
  assert.ok(existsSync(path));
  assert.equal(readFileSync(path, "utf8"), renderServiceConfig(), "it is stale");
});

test("it repeats no rpc that writes, and only a status that always passes", () => {
  assert.deepEqual(retryableStatuses(), ["UNAVAILABLE"]);
  const names = repeatableRpcs().map(({ service, method }) => `${service}/${method}`);
  for (const read of ["Get", "Exists", "List", "BatchGet", "Scan", "Watch", "Download"]) {
    assert.ok(names.includes(`kvix.v1.KvService/${read}`), read);
  }
  for (const write of ["Set", "Delete", "Touch", "Increment", "Commit", "DeleteRange", "Upload"]) {
    assert.ok(!names.includes(`kvix.v1.KvService/${write}`), write);
  }
  assert.ok(!names.includes("kvix.v1.KvService/Pipeline"));
});
