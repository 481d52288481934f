/**
 * Folders of npm packages that kvix itself does not depend on, with kvix among them as an
 * application has it: by its name, through the exports of its package.json.
 */
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../../support/paths.js";
import { cachedTool, mustRun } from "../../support/tool-cache.js";

/** A folder with these packages, each as NAME@VERSION, and with kvix. */
export function packagesWithKvix(name: string, packages: readonly string[]): Promise<string> {
  return cachedTool(name, async (target) => {
    writeFileSync(join(target, "package.json"), '{ "private": true, "type": "module" }\n');
    // Their scripts build what no test here needs.
    const flags = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
    await mustRun("npm", ["install", "--prefix", target, ...flags, ...packages]);
    symlinkSync(repositoryRoot, join(target, "node_modules", "kvix"));
  });
}
