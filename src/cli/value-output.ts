/**
 * A value on stdout.
 *
 *     into a file or a pipe   exactly its bytes, nothing added
 *     on a terminal           its text, a line feed at the end; what is no text
 *                             is escaped, and stderr says so
 *     --hex, --base64         that text, a line feed at the end
 *     --file FILE             exactly its bytes in the file; "-" is stdout
 */
import { writeUserFile } from "../host/user-file.js";
import { type ByteFormat, isPrintable, showBytes } from "./byte-text.js";
import type { Terminal } from "./output.js";

/** Where standard input and output are meant by a file's name. */
export const STANDARD_STREAM = "-";

/** Prints a value, or writes it to a file. */
export async function writeValue(
  value: Uint8Array,
  format: ByteFormat,
  { out, err }: Terminal,
  file?: string,
): Promise<void> {
  if (file === STANDARD_STREAM) return await out.write(value);
  if (file !== undefined) return await writeUserFile(file, value);
  if (format !== "text") return await out.line(showBytes(value, format));
  if (!out.isTerminal) return await out.write(value);
  if (!isPrintable(value)) {
    await err.line("kvix: the value is no text; it is shown escaped (--hex, --base64, > FILE)");
    return await out.line(showBytes(value, format));
  }
  await out.write(value);
  if (value.at(-1) !== 0x0a) await out.write("\n");
}
