/**
 * Files that a person names on a command line: a value to store, a config
 * file, a place for an answer. Not the store's own files; they go through
 * FileSystem. Anything that can be read or written to its end will do, pipes
 * and devices too.
 */
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";

/** All bytes of a file. Throws the system's error, or an Error if there are more than `bytesMax`. */
export async function readUserFile(path: string, bytesMax: number): Promise<Uint8Array> {
  return await readToEnd(createReadStream(path), bytesMax);
}

/** All bytes of a stream. Throws what the stream throws, or an Error if there are more than `bytesMax`. */
export async function readToEnd(
  stream: AsyncIterable<Uint8Array | string>,
  bytesMax: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of stream) {
    const bytes = typeof piece === "string" ? Buffer.from(piece, "utf8") : piece;
    length += bytes.length;
    if (length > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
    pieces.push(bytes);
  }
  return Buffer.concat(pieces, length);
}

/** Writes a file as a redirection of the shell does: made or overwritten, links followed. */
export async function writeUserFile(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, bytes);
}
