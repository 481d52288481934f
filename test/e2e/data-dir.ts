/** A directory for a store of one test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/**
 * The path of a new empty directory; it goes with the test. Servers of the test may still
 * write to it then: what they leave is left, for a throw here would leave them running.
 */
export function makeDataDir(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "kvix-e2e-"));
  t.after(() => {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 10 });
    } catch {
      // The system's own folder for what is temporary.
    }
  });
  return path;
}
