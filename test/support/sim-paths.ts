/** Paths of the simulated file system: absolute, plain, and taken apart over and over again. */

/** Paths that were taken apart. */
const partsByPath = new Map<string, readonly string[]>();
const pathsMax = 10_000;

/** The names in a path, from the root on. */
export function partsOf(path: string): readonly string[] {
  const known = partsByPath.get(path);
  if (known !== undefined) return known;
  const names = path.split("/");
  if (names.shift() !== "" || names.includes("..")) throw new TypeError(`not absolute: ${path}`);
  const parts = names.filter((name) => name !== "" && name !== ".");
  if (partsByPath.size >= pathsMax) partsByPath.clear();
  partsByPath.set(path, parts);
  return parts;
}

/** And together again. */
export function pathOf(names: readonly string[]): string {
  return `/${names.join("/")}`;
}
