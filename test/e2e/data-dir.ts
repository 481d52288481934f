/** A directory for a store of one test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** The path of a new empty directory; it goes with the test. */
export function makeDataDir(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "kvix-e2e-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
