/** Errors that look like the system's own, for conditions that the system did not report itself. */

/** A system error: `code` as errno names it ("EBADF"), and a sentence. Never a key or a value. */
export interface SystemError extends Error {
  readonly code: string;
  readonly path: string;
}

/** Makes the error that the system would have given for `path`. */
export function systemError(code: string, path: string, sentence: string): SystemError {
  return Object.assign(new Error(`${code}: ${sentence}: ${path}`), { code, path });
}
