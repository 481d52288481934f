/**
 * The environment of the tests, as it is now, without the variables that steer
 * them: kvix refuses to start with a KVIX_ variable that it does not know.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => !name.startsWith("KVIX_")));
}
