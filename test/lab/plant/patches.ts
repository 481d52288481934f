/**
 * The plants: patches of src/, each of which breaks one promise.
 *
 *     Breaks: a sentence, what does not hold any more
 *     Property: V1, D2
 *     Written: with sight of the tests | without sight of the tests
 *     Caught-by: sweep                          is asked first; may be missing
 *
 *     diff --git a/src/engine/log.ts b/src/engine/log.ts
 *     ...
 *
 * `Caught-by` names an instrument, or, where none is known, `suite` and files of it. A run
 * with KVIX_WRITE_PLANTS=1 writes it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../../support/paths.js";
import { type PropertyId, properties } from "../properties.js";

/** Where the plants lie. */
export const plantFolder = join(repositoryRoot, "test", "lab", "plants");

/** One plant. */
export interface Plant {
  readonly name: string;
  /** The file of the patch. */
  readonly path: string;
  readonly breaks: string;
  readonly properties: readonly PropertyId[];
  /** Whether whoever wrote it had read the tests. */
  readonly sawTests: boolean;
  /** What is known to catch it. */
  readonly caughtBy: string | undefined;
  /** The files that it changes, relative to the repository. */
  readonly files: readonly string[];
}

/**
 * Those that CI asks for, and every run begins with: quick ones, of several parts of the
 * code and caught by several instruments.
 */
const firstPlants: readonly string[] = [
  "answer-before-sync",
  "rotation-unsynced",
  "new-segment-name-unsynced",
  "blind-hint-leaves-out-overwritten",
];

/** A patch that is not as the head of this file says. */
export class PlantUnreadable extends Error {
  override readonly name = "PlantUnreadable";
}

/** All plants, those of CI first. Throws PlantUnreadable. */
export function readPlants(folder = plantFolder): Plant[] {
  const plants = readdirSync(folder)
    .filter((file) => file.endsWith(".patch"))
    .map((file) => parsePlant(join(folder, file), readFileSync(join(folder, file), "utf8")));
  const rankOf = ({ name }: Plant): number => {
    const place = firstPlants.indexOf(name);
    return place === -1 ? firstPlants.length : place;
  };
  return plants.sort(
    (one, other) => rankOf(one) - rankOf(other) || (one.name < other.name ? -1 : 1),
  );
}

/** The plant that a patch file holds. Throws PlantUnreadable. */
export function parsePlant(path: string, text: string): Plant {
  const name = path.slice(path.lastIndexOf("/") + 1).replace(/\.patch$/, "");
  const fail = (why: string): never => {
    throw new PlantUnreadable(`plant ${name}: ${why}`);
  };
  const diffAt = text.indexOf("\ndiff --git ");
  if (diffAt === -1) fail("no diff --git");
  const head = new Map<string, string>();
  for (const line of text.slice(0, diffAt).split("\n")) {
    const [, field, value] = /^([A-Z][a-z-]+): +(.+)$/.exec(line) ?? [];
    if (field !== undefined && value !== undefined) head.set(field, value.trim());
    else if (line.trim() !== "") fail(`a line of its head is no field: ${line}`);
  }
  const required = (field: string): string => head.get(field) ?? fail(`no line ${field}:`);
  const ids = required("Property").split(/[\s,]+/);
  const strange = ids.find((id) => !(id in properties));
  if (strange !== undefined) fail(`${strange} is no property`);
  const written = /^(with|without) sight of the tests$/.exec(required("Written"))?.[1];
  if (written === undefined) fail("Written: says neither with nor without sight of the tests");
  const files = [...text.matchAll(/^\+\+\+ b\/(.+)$/gm)].map((match) => match[1] as string);
  const outside = files.find((file) => !file.startsWith("src/"));
  if (outside !== undefined || files.length === 0) fail(`it changes ${outside ?? "nothing"}`);
  return {
    name,
    path,
    breaks: required("Breaks"),
    properties: ids as PropertyId[],
    sawTests: written === "with",
    caughtBy: head.get("Caught-by"),
    files,
  };
}

/** The text of a patch that says what catches it: an instrument is asked first from now on. */
export function withCatcher(text: string, catcher: string): string {
  const bare = text.replace(/^Caught-by:.*\n/m, "");
  return bare.replace(/^Written:.*\n/m, (line) => `${line}Caught-by: ${catcher}\n`);
}

/** Writes into the file of a plant what catches it. */
export function recordCatcher({ path }: Plant, catcher: string): void {
  writeFileSync(path, withCatcher(readFileSync(path, "utf8"), catcher));
}
