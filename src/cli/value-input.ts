/** What a verb reads from a file that was named, or from stdin. */
import { errorCode } from "../host/file-system.js";
import { readToEnd, readUserFile } from "../host/user-file.js";
import type { Terminal } from "./output.js";
import { UsageError } from "./usage-error.js";
import { STANDARD_STREAM } from "./value-output.js";

/** All bytes of it, at most `bytesMax`; throws a UsageError that names `option`. */
export async function readNamedFile(
  option: string,
  file: string,
  bytesMax: number,
  { input }: Pick<Terminal, "input">,
): Promise<Uint8Array> {
  const isStandard = file === STANDARD_STREAM;
  try {
    return isStandard ? await readToEnd(input, bytesMax) : await readUserFile(file, bytesMax);
  } catch (error) {
    const why = errorCode(error) ?? (error instanceof Error ? error.message : String(error));
    const problem = `cannot be read from ${isStandard ? "stdin" : file}: ${why}`;
    throw new UsageError([{ option, problem }]);
  }
}
