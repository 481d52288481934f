/** The version of this build, as package.json has it. */
import { createRequire } from "node:module";

const manifest: unknown = createRequire(import.meta.url)("../../../package.json");

/** "MAJOR.MINOR.PATCH". */
export const buildVersion: string =
  typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";
