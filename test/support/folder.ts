/** A folder for a whole file of tests. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new empty folder, and the way to take it away again. */
export function makeFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "kvix-cli-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
