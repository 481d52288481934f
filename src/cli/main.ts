#!/usr/bin/env node
/** The `kvix` command. */
import { runCommandLine } from "./command-line.js";
import { Output } from "./output.js";

const terminal = {
  out: new Output(process.stdout),
  err: new Output(process.stderr),
  input: process.stdin,
  environment: process.env,
};
process.exit(await runCommandLine(process.argv.slice(2), terminal));
