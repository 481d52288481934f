/** How keys and values stand on a command line: --hex and --base64, and the key itself. */
import type { Command } from "commander";
import { KEY_BYTES_MAX } from "../base/limits.js";
import { type ByteFormat, parseByteText } from "./byte-text.js";
import type { FaultList } from "./usage-error.js";

/** The flags. */
export interface FormatFlags {
  readonly hex?: true;
  readonly base64?: true;
}

/** Declares them. */
export function addFormatFlags(command: Command): Command {
  return command
    .option("--hex", "keys and values are written in hexadecimal")
    .option("--base64", "keys and values are written in base64");
}

/** The format that the flags ask for. */
export function readFormat({ hex, base64 }: FormatFlags, faults: FaultList): ByteFormat {
  if (hex === true && base64 === true) faults.add("--hex", "does not go together with --base64");
  if (hex === true) return "hex";
  return base64 === true ? "base64" : "text";
}

/** The bytes of a key; empty after noting a fault. */
export function readKey(text: string, format: ByteFormat, faults: FaultList): Uint8Array {
  const key = faults.collect(() => parseByteText(text, format, "KEY"));
  if (key === undefined) return new Uint8Array(0);
  if (key.length === 0) faults.add("KEY", `is empty; it must have 1 to ${KEY_BYTES_MAX} bytes`);
  if (key.length > KEY_BYTES_MAX) {
    faults.add("KEY", `has ${key.length} bytes; it must have 1 to ${KEY_BYTES_MAX}`);
  }
  return key;
}
