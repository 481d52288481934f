/** `kvix serve`: its flags. What it does when it runs is in serve.ts. */
import type { Command } from "commander";
import { exitCodesHelp } from "./exit-code.js";
import {
  addServeFlags,
  readServeFlags,
  readServeRequest,
  requireOptions,
} from "./serve-options.js";
import type { DeclareVerb } from "./verb.js";

const help = `
Sizes have units (64MiB, 1GiB), times too (100ms, 5h). Every option may also be
given by a variable (--segment-dir is KVIX_SEGMENT_DIR) or in the file that
--config names (segment-dir = "/data"); \`kvix config check\` shows what is in
force. SIGTERM and SIGINT stop the server; a second one at once.

Examples:
  kvix serve --data-dir ./data
  kvix serve --data-dir /var/lib/kvix --listen 0.0.0.0:5849 --durability sync
  KVIX_DATA_DIR=./data kvix serve --config kvix.toml
${exitCodesHelp}`;

/** `kvix serve`. */
export const declareServe: DeclareVerb = (command, context) => {
  addServeFlags(command);
  command.addHelpText("after", help);
  command.action(async (_options: unknown, asked: Command) => {
    const request = await readServeRequest(readServeFlags(asked), context.environment);
    const options = requireOptions(request);
    const { serve } = await import("./serve.js");
    const { openStore } = await import("../engine/open-store.js");
    context.exitCode = await serve(options, openStore);
  });
};
