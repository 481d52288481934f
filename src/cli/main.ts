#!/usr/bin/env node
/** The `kvix` command. */
import { openStore } from "../engine/open-store.js";
import { runCommandLine } from "./command-line.js";

process.exit(await runCommandLine(process.argv.slice(2), openStore));
