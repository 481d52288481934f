/**
 * The tables of docs/testing.md: each property with the instruments that can find a
 * break of it and the files whose tests carry its id; the instruments themselves; and what
 * is known to catch each plant.
 */
import { markdownTable } from "../../bench/page-section.js";
import { instruments } from "../lab/catalogue.js";
import { grouped, partsText } from "../lab/lab-report.js";
import { readPlants } from "../lab/plant/patches.js";
import { openProperties, type PropertyId, properties, propertyGroups } from "../lab/properties.js";
import { readSourceTree, type SourceFile } from "./source-tree.js";

/** An id of a property. */
export const idPattern = /\b[VDRMITBP]\d{1,2}\b/g;

/** The names that a file gives to its tests. */
export function testNames(file: SourceFile): string[] {
  const starts = file.code.matchAll(/\b(?:test|it|describe|suite|conforms)\(\s*(?=["'`])/g);
  return [...starts].map((match) => {
    const at = match.index + match[0].length;
    return file.text.slice(at + 1, file.text.indexOf(file.text.charAt(at), at + 1));
  });
}

/** Where each id is cited: the names of tests by the path of their file. */
export function citedIds(files: readonly SourceFile[]): Map<string, Map<string, string>> {
  const cited = new Map<string, Map<string, string>>();
  for (const file of files) {
    for (const name of testNames(file)) {
      for (const [id] of name.matchAll(idPattern)) {
        const places = cited.get(id) ?? new Map<string, string>();
        cited.set(id, places.set(file.path, name));
      }
    }
  }
  return cited;
}

/** The ids of one group, in order. */
function idsOf(letter: string): PropertyId[] {
  return (Object.keys(properties) as PropertyId[]).filter((id) => id.startsWith(letter));
}

/** The table of the invariants in docs/architecture.md. */
export function renderInvariants(): string {
  return markdownTable(
    ["id", "invariant"],
    idsOf("V").map((id) => [id, properties[id]]),
  );
}

/** All properties, a table for each group. */
export function renderProperties(): string {
  const cited = citedIds(readSourceTree("test"));
  const tables = Object.entries(propertyGroups).map(([letter, title]) => {
    const rows = idsOf(letter).map((id) => {
      const able = instruments.filter((instrument) => instrument.properties.includes(id));
      const files = [...(cited.get(id)?.keys() ?? [])].map(shortName);
      const open = openProperties[id];
      return [
        id,
        properties[id],
        able.map(({ name }) => name).join(", ") || "none",
        open === undefined ? files.join(", ") : `open: ${open}`,
      ];
    });
    return `### ${title}\n\n${markdownTable(["id", "sentence", "instruments", "tests"], rows)}`;
  });
  return `\n${tables.join("\n")}\n`;
}

function shortName(path: string): string {
  return path.replace(/^test\//, "").replace(/(\.test)?\.ts$/, "");
}

/** The instruments: what each does, what one run is, and how many CI has. */
export function renderInstruments(): string {
  const rows = instruments.map(({ name, sentence, oneRun, parts, runs }) => [
    `\`${name}\``,
    sentence,
    oneRun,
    parts === undefined ? "" : partsText(parts),
    grouped(runs.ci),
  ]);
  return markdownTable(["instrument", "what it does", "a run", "`--only`", "runs in CI"], rows);
}

/** The plants: which promises each breaks, and what is known to see it. */
export function renderPlants(): string {
  const plants = readPlants();
  const byInstrument = plants.filter(({ caughtBy = "suite" }) => !caughtBy.startsWith("suite"));
  const rows = plants
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, properties: ids, caughtBy }) => {
      const [catcher = "nothing yet", ...tests] = caughtBy?.split(/\s+/) ?? [];
      const files = tests.map(shortName).join(", ");
      return [`\`${name}\``, ids.join(", "), files === "" ? catcher : `${catcher}: ${files}`];
    });
  const table = markdownTable(["plant", "breaks", "seen by"], rows);
  const count = `${byInstrument.length} of ${plants.length} are known to be seen by an instrument.`;
  return `${table}\n${count}\n`;
}
