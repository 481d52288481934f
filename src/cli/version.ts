/** `kvix version`. */
import { buildVersion } from "../base/version.js";
import type { DeclareVerb } from "./verb.js";

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
