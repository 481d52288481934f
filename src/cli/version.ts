/** The version of this build, as package.json has it, and `kvix version`. */
import { createRequire } from "node:module";
import type { DeclareVerb } from "./verb.js";

const manifest: unknown = createRequire(import.meta.url)("../../../package.json");

/** "MAJOR.MINOR.PATCH". */
export const buildVersion: string =
  typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";

/** `kvix version`. */
export const declareVersion: DeclareVerb = (command, { out }) => {
  command
    .option("--json", "print JSON: the versions of kvix and of Node, and the platform")
    .action(async ({ json }: { readonly json?: true }) => {
      if (json !== true) return await out.line(`kvix ${buildVersion}`);
      const platform = `${process.platform} ${process.arch}`;
      await out.json({ kvix: buildVersion, node: process.versions.node, platform });
    });
};
