/**
 * The environment of the tests without the variables that steer them: kvix
 * refuses to start with a KVIX_ variable that it does not know.
 */
export const plainEnvironment: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("KVIX_")),
);
