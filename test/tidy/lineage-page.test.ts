/** What README.md says to those who come from the original: every name that they know is there. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errorCatalogue } from "../../src/base/error-catalogue.js";
import { repositoryRoot } from "../support/paths.js";

const readme = readFileSync(join(repositoryRoot, "README.md"), "utf8");
const section = /^## Coming from kvix in Go$(.*?)^## /ms.exec(readme)?.[1] ?? "";
/** The first cells of the section's tables: what is called so in Go. */
const known = [...section.matchAll(/^\| (.*?) \|/gm)].map((match) => match[1] ?? "").join("\n");

// Read in its newest commit: pkg/kvix, pkg/options, pkg/errors/codes.go.
const functions = ["NewInstance", "Set", "SetX", "Get", "Exists", "Delete", "Close"];
const options = ["DataDir", "SegmentDir", "SegmentPrefix", "SegmentSize", "CompactInterval"];
const errorCodes = [
  ...["IO_GENERAL", "IO_SYNC_FAILED", "IO_SEEK_FAILED", "IO_WRITE_FAILED", "IO_CLOSE_FAILED"],
  ...["SYSTEM_INTERNAL", "SYSTEM_INVALID_INPUT", "SYSTEM_UNSUPPORTED_VERSION"],
  ...["INDEX_KEY_NOT_FOUND", "VALIDATION_INVALID_DATA", "RECORD_KEY_MISMATCH"],
  ...["RECORD_HEADER_READ_FAILED", "RECORD_HEADER_WRITE_FAILED", "RECORD_SERIALIZATION"],
  ...["RECORD_DESERIALIZATION", "RECORD_CHECKSUM_MISMATCH", "RECORD_PAYLOAD_TOO_LARGE"],
  ...["RECORD_PAYLOAD_READ_FAILED", "RECORD_PAYLOAD_WRITE_FAILED"],
];

test("every function, option and error code of the original has its row", () => {
  for (const name of functions) assert.match(known, new RegExp(`\`${name}\\(`), name);
  for (const name of options) assert.ok(known.includes(`\`With${name}\``), name);
  for (const code of errorCodes) assert.ok(known.includes(`\`${code}\``), code);
});

test("every reason that the rows name is one of the catalogue", () => {
  const named = section.matchAll(/\b[A-Z]{2,}(?:_[A-Z]+)+\b/g);
  const reasons = [...named].map(([name]) => name).filter((name) => !errorCodes.includes(name));
  assert.ok(reasons.length > 5);
  for (const reason of reasons) assert.ok(Object.hasOwn(errorCatalogue, reason), reason);
});
