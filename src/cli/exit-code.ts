/** What the process tells its parent; `kvix --help` lists them. */
export const ExitCode = {
  /** Done, or stopped as asked. */
  OK: 0,
  /** The store could not be opened, served or closed; or a second signal cut the stop short. */
  FAILURE: 1,
  /** A command, an option or a value that is none. */
  USAGE: 2,
} as const;

/** The end of every help text. */
export const exitCodesHelp = `
Exit codes:
  0  done, or stopped as asked
  1  the store could not be opened, served or closed, or a second signal cut the stop short
  2  a command, an option or a value that is none`;
