/** The golden files, as inputs to begin with. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../../support/paths.js";

const folder = join(repositoryRoot, "test/fixtures/v1");

/** Their names. */
export const goldenNames: readonly string[] = readdirSync(folder).sort();

/** The bytes of one. */
export function goldenBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, name)));
}
